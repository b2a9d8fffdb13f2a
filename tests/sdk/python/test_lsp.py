"""Language servers of the default image (contract, toolbox §13 and §20.7).

A server costs seconds of processor time to start, so tests that leave it as it was share one for each language.
"""

import time
import uuid

import pytest
from daytona import DaytonaError, LspCompletionPosition

PATIENCE = 90  # seconds until a server has read a project on a busy machine

SOURCES = {
    "python": ("main.py", "import os\n\n\nclass Widget:\n    def run(self, n):\n        return n + 1\n\n\nos.pa\n"),
    "typescript": ("main.ts", "class Widget {\n  run(n: number) { return n + 1 }\n}\nconst w = new Widget()\nw.\n"),
    "javascript": ("main.js", "class Widget {\n  run(n) { return n + 1 }\n}\nconst w = new Widget()\nw.\n"),
}
INSIDE = {"python": (8, 5, "path"), "typescript": (4, 2, "run"), "javascript": (4, 2, "run")}


def eventually(look, holds):
    """What `look` returns once it `holds`; a server answers before it has read everything."""
    deadline = time.monotonic() + PATIENCE
    while not holds(found := look()):
        assert time.monotonic() < deadline, found
        time.sleep(0.2)
    return found


def names(symbols):
    return [symbol.name for symbol in symbols]


@pytest.fixture(scope="module", params=SOURCES)
def language(request):
    return request.param


def make_project(sandbox, language):
    """A directory below the work directory with one source; the path of that."""
    name, text = SOURCES[language]
    folder = f"lsp-{uuid.uuid4().hex[:12]}"
    sandbox.fs.create_folder(folder, "755")
    sandbox.fs.upload_file(text.encode(), f"{folder}/{name}")
    if language == "typescript":
        sandbox.fs.upload_file(b'{"compilerOptions": {}}', f"{folder}/tsconfig.json")
    return folder, f"{folder}/{name}"


@pytest.fixture(scope="module")
def project(sandbox, language):
    folder, file = make_project(sandbox, language)
    yield folder, file
    sandbox.fs.delete_file(folder, recursive=True)


@pytest.fixture(scope="module")
def server(sandbox, language, project):
    """A started server with the source open, and the path of that."""
    directory, file = project
    server = sandbox.create_lsp_server(language, directory)
    server.start()
    server.did_open(file)
    yield server, file
    server.did_close(file)
    server.stop()


def test_symbols_of_a_document(sandbox, server):
    server, file = server
    found = eventually(lambda: server.document_symbols(file), lambda found: "Widget" in names(found))
    widget = next(symbol for symbol in found if symbol.name == "Widget")
    assert widget.kind == 5  # a class
    assert widget.location.uri == f"file://{sandbox.get_work_dir()}/{file}"
    assert widget.location.range.start.line < widget.location.range.end.line
    assert "run" in names(found)


def test_symbols_of_the_project(server):
    server, file = server
    found = eventually(lambda: server.sandbox_symbols("Widget"), lambda found: "Widget" in names(found))
    widget = next(symbol for symbol in found if symbol.name == "Widget")
    assert widget.location.uri.endswith(f"/{file}")
    assert server.sandbox_symbols("NoSuchNameAnywhere") == []


def test_completions(server, language):
    server, file = server
    line, character, label = INSIDE[language]
    position = LspCompletionPosition(line, character)

    def labels():
        return [item.label for item in server.completions(file, position).items]

    assert label in eventually(labels, lambda found: label in found)
    server.completions(file, LspCompletionPosition(0, 0))  # zero is a place like any other


def test_a_file_is_read_again_when_it_is_opened_again(sandbox, server, language, project):
    server, _ = server
    file = f"{project[0]}/again{'.py' if language == 'python' else '.js'}"
    for name in ("Gizmo", "Gadget"):
        text = f"class {name}:\n    pass\n" if language == "python" else f"class {name} {{}}\n"
        sandbox.fs.upload_file(text.encode(), file)
        server.did_open(file)
        found = eventually(lambda: server.document_symbols(file), lambda found, name=name: name in names(found))
    assert "Gizmo" not in names(found)
    server.did_close(file)


def test_start_twice_and_stop(sandbox, language):
    directory, file = make_project(sandbox, language)
    server = sandbox.create_lsp_server(language, directory)
    with pytest.raises(DaytonaError):
        server.document_symbols(file)
    server.start()
    sandbox.create_lsp_server(language, directory).start()
    server.stop()
    for call in (lambda: server.did_open(file), lambda: server.document_symbols(file), server.stop):
        with pytest.raises(DaytonaError):
            call()
    server.start()
    server.stop()


def test_a_missing_file_is_an_error(sandbox, server):
    server, file = server
    with pytest.raises(DaytonaError, match="no-such-file"):
        server.did_open(f"{file}.no-such-file")


def test_an_unknown_language_is_an_error(sandbox, folder):
    with pytest.raises(DaytonaError, match="unsupported language"):
        sandbox.create_lsp_server("cobol", folder).start()


def test_a_missing_program_is_explained(create):
    sandbox = create()
    done = sandbox.process.exec('sudo mv "$(command -v pylsp)" /usr/local/bin/pylsp.away')
    assert done.exit_code == 0, done.result
    with pytest.raises(DaytonaError, match="pip install python-lsp-server"):
        sandbox.create_lsp_server("python", ".").start()


def test_a_server_that_was_killed_can_be_started_again(create, language):
    sandbox = create()
    directory, file = make_project(sandbox, language)
    server = sandbox.create_lsp_server(language, directory)
    server.start()
    server.did_open(file)
    program = {"python": "pylsp"}.get(language, "typescript-language-server")
    eventually(lambda: server.document_symbols(file), lambda found: "Widget" in names(found))
    assert sandbox.process.exec(f"pkill -KILL -f '[/]{program}( |$)'").exit_code == 0

    def refused():
        try:
            server.document_symbols(file)
        except DaytonaError as error:
            return error
        return None

    eventually(refused, lambda error: error is not None and "not initialized" in str(error))
    server.start()
    server.did_open(file)
    eventually(lambda: server.document_symbols(file), lambda found: "Widget" in names(found))
