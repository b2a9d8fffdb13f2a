"""What published integrations do with the clients that they pin, from before 0.185. Synchronous clients only.

Of these, 0.143 cuts the last line's end off what a command printed, and none reads a list in which a sandbox is paused.
"""

import pytest
from daytona.common.errors import DaytonaNotFoundError

pytestmark = pytest.mark.parametrize("connect", ["sync"], indirect=True, scope="session")


def ids(listed):
    return [sandbox.id for sandbox in listed.items]


def test_created_and_found(create, daytona, word):
    sandbox = create(name=word, labels={"purpose": word, "größe": "ß"}, env_vars={"GREETING": "Grüße, world"})
    listed = daytona.list()  # asks for labels=null
    assert sandbox.id in ids(listed)
    (same,) = daytona.list({"purpose": word}, page=1, limit=2).items
    for found in (sandbox, same, daytona.get(sandbox.id), daytona.get(word)):
        assert (found.id, found.name, found.state) == (sandbox.id, word, "started")
        assert found.labels == {"purpose": word, "größe": "ß"}
        assert found.process.exec('echo "$GREETING"').result.splitlines() == ["Grüße, world"]
    assert ids(daytona.list({"purpose": "none"})) == []


def test_commands_and_programs(sandbox, read):
    answer = sandbox.process.exec("echo out; echo err >&2; exit 42")
    assert (answer.exit_code, answer.result.splitlines()) == (42, ["out", "err"])
    assert read("pwd; echo $ONE", cwd="/tmp", env={"ONE": "ß"}, timeout=10).splitlines() == ["/tmp", "ß"]
    answer = sandbox.process.code_run("for n in range(2):\n    print(n, 'für \"$HOME\"')")
    assert (answer.exit_code, answer.result.splitlines()) == (0, ['0 für "$HOME"', '1 für "$HOME"'])
    assert sandbox.process.code_run("raise SystemExit(7)").exit_code == 7


def test_files_go_up_and_down(sandbox, folder, tmp_path):
    content, path, local = bytes(range(256)) * 1024, f"{folder}/with space.bin", tmp_path / "local.bin"
    sandbox.fs.upload_file(content, path)
    assert [(entry.name, entry.size) for entry in sandbox.fs.list_files(folder)] == [("with space.bin", len(content))]
    assert sandbox.fs.download_file(path) == content
    sandbox.fs.download_file(path, str(local))
    sandbox.fs.upload_file(str(local), f"{folder}/again.bin")
    assert sandbox.fs.download_file(f"{folder}/again.bin") == content


def test_stopped_started_and_deleted(create, daytona):
    sandbox = create()
    sandbox.fs.upload_file(b"kept\n", "kept.txt")
    sandbox.stop()
    assert (sandbox.state, daytona.get(sandbox.id).state) == ("stopped", "stopped")
    sandbox.start()
    assert (sandbox.state, daytona.get(sandbox.id).state) == ("started", "started")
    assert sandbox.fs.download_file("kept.txt") == b"kept\n"
    sandbox.delete()
    assert sandbox.state in ("destroying", "destroyed")
    assert sandbox.id not in ids(daytona.list())
    with pytest.raises(DaytonaNotFoundError):
        daytona.get(sandbox.name)
