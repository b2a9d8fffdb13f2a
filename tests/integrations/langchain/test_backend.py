"""Every method of the backend, called as an agent's tools call it."""

import asyncio
import base64
import time

import pytest
from langchain_daytona import DaytonaSandbox

NAMES = ["plain.txt", "with space.txt", "ümlaut ß.txt", "quote'\".txt"]


class TestExecute:
    def test_output_and_exit_code(self, backend):
        answer = backend.execute("echo out; echo err >&2; exit 3")
        assert (answer.exit_code, answer.output, answer.truncated) == (3, "out\n\n<stderr>err</stderr>", False)

    def test_any_text(self, backend):
        text = "äöü ß 日本語 🙂\ttab ' \" \\ %s"
        assert backend.execute("cat <<'END'\n" + text + "\nEND").output == text + "\n"

    def test_a_long_one(self, backend):
        assert backend.execute("seq 1 50000").output == "".join(f"{n}\n" for n in range(1, 50_001))

    def test_a_timeout_tells_what_was_said_and_ends_the_program(self, backend, sandbox):
        started = time.monotonic()
        answer = backend.execute("echo begun; sleep 4321", timeout=3)
        assert answer.exit_code == 124
        assert "timed out after 3 seconds" in answer.output
        assert "begun" in answer.output
        assert time.monotonic() - started < 60
        deadline = time.monotonic() + 60
        while sandbox.process.exec("pgrep -fx 'sleep 4321'").exit_code != 1:
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def test_without_a_limit(self, backend):
        assert backend.execute("sleep 1; echo done", timeout=0).output == "done\n"

    def test_large_output_is_left_in_a_file_if_asked_for(self, sandbox, backend, folder, content):
        whole = backend.execute_with_offload("seq 1 9999", f"{folder}/whole", max_inline_bytes=1000)
        assert (whole.offloaded, whole.response.output.count("\n")) == (False, 9999)
        backend = DaytonaSandbox(sandbox=sandbox)
        backend.enable_capture_offload = True
        small = backend.execute_with_offload("echo few", f"{folder}/small", max_inline_bytes=1000)
        assert (small.offloaded, small.response.output.strip(), small.response.exit_code) == (False, "few", 0)
        large = backend.execute_with_offload("seq 1 9999; exit 5", f"{folder}/large", max_inline_bytes=1000)
        assert (large.offloaded, large.response.exit_code) == (True, 5)
        assert len(large.response.output) < 10_000
        assert content(f"{folder}/large") == "".join(f"{n}\n" for n in range(1, 10_000))

    def test_its_id_is_the_sandbox(self, backend, sandbox):
        assert backend.id == sandbox.id


class TestFiles:
    def test_written_and_read(self, backend, folder, content):
        for name in NAMES:
            path = f"{folder}/deep/{name}"
            assert backend.write(path, "first ß\nsecond\nthird\n").path == path
            assert content(path) == "first ß\nsecond\nthird\n"
            answer = backend.read(path)
            assert answer.error is None
            assert (answer.file_data["content"], answer.total_lines) == ("first ß\nsecond\nthird", 3)
        part = backend.read(f"{folder}/deep/plain.txt", offset=1, limit=1)
        assert (part.file_data["content"], part.start_line, part.next_offset) == ("second", 2, 2)

    def test_what_is_no_text(self, backend, folder, sandbox):
        data = bytes(range(256))
        sandbox.fs.upload_file(data, f"{folder}/picture.png")
        answer = backend.read(f"{folder}/picture.png")
        assert answer.file_data["encoding"] == "base64"
        assert base64.b64decode(answer.file_data["content"]) == data

    def test_edited(self, backend, folder, content):
        path = f"{folder}/file"
        backend.write(path, "one two one\n")
        assert backend.edit(path, "two", "zwei ß").occurrences == 1
        assert "multiple times" in backend.edit(path, "one", "eins").error
        assert backend.edit(path, "one", "eins", replace_all=True).occurrences == 2
        assert content(path) == "eins zwei ß eins\n"
        assert backend.edit(path, "none", "x").error
        assert backend.edit(f"{folder}/missing", "a", "b").error

    def test_a_large_edit_goes_by_upload(self, backend, folder, content):
        backend.write(f"{folder}/file", "a" * 60_000 + "\nrest\n")
        answer = backend.edit(f"{folder}/file", "a" * 60_000, "b" * 60_000)
        assert (answer.error, answer.occurrences) == (None, 1)
        assert content(f"{folder}/file") == "b" * 60_000 + "\nrest\n"

    def test_listed(self, backend, folder):
        backend.write(f"{folder}/a.txt", "")
        backend.write(f"{folder}/b/c.txt", "")
        entries = {entry["path"]: entry["is_dir"] for entry in backend.ls(folder).entries}
        assert entries == {f"{folder}/a.txt": False, f"{folder}/b": True}
        assert backend.ls(f"{folder}/none").error

    def test_found(self, backend, folder):
        backend.write(f"{folder}/a.txt", "nothing\nhere is a needle.*\n")
        backend.write(f"{folder}/deep/b.py", "needle.* = 1\n")
        found = backend.grep("needle.*", folder).matches
        assert sorted((match["path"], match["line"], match["text"]) for match in found) == [
            (f"{folder}/a.txt", 2, "here is a needle.*"),
            (f"{folder}/deep/b.py", 1, "needle.* = 1"),
        ]
        for glob in ("*.py", "deep/**/*.py"):
            assert [match["path"] for match in backend.grep("needle", folder, glob).matches] == [f"{folder}/deep/b.py"]
        assert backend.grep("no such text", folder).matches == []
        limited = backend.grep("needle", folder, max_count=1)
        assert (len(limited.matches), limited.truncated) == (1, True)
        names = [match["path"] for match in backend.glob("**/*.py", folder).matches]
        assert names == [f"{folder}/deep/b.py"]

    def test_deleted(self, backend, folder, sandbox):
        backend.write(f"{folder}/tree/leaf", "")
        assert backend.delete(f"{folder}/tree").path == f"{folder}/tree"
        assert sandbox.fs.list_files(folder) == []
        assert "not found" in backend.delete(f"{folder}/tree").error

    def test_uploaded_and_downloaded(self, backend, folder):
        files = [(f"{folder}/{name}", name.encode() + bytes(range(256))) for name in NAMES]
        answers = backend.upload_files([*files, ("relative", b"")])
        assert [answer.error for answer in answers] == [None] * 4 + ["invalid_path"]
        paths = [path for path, _ in files]
        answers = backend.download_files([paths[0], f"{folder}/missing", "relative", *paths[1:]])
        assert [answer.error for answer in answers] == [None, "file_not_found", "invalid_path", None, None, None]
        assert [answer.content for answer in answers if not answer.error] == [content for _, content in files]


def test_the_asynchronous_side(backend, folder, content):
    async def flow():
        await backend.awrite(f"{folder}/file", "one\n")
        await backend.aedit(f"{folder}/file", "one", "two")
        read, listed, found, names, ran, kept = await asyncio.gather(
            backend.aread(f"{folder}/file"),
            backend.als(folder),
            backend.agrep("two", folder),
            backend.aglob("*", folder),
            backend.aexecute("echo here; exit 2"),
            backend.aexecute_with_offload("echo kept", f"{folder}/kept", max_inline_bytes=1000),
        )
        assert read.file_data["content"] == "two"
        assert f"{folder}/file" in [entry["path"] for entry in listed.entries]
        assert [match["line"] for match in found.matches] == [1]
        assert f"{folder}/file" in [match["path"] for match in names.matches]
        assert (ran.output, ran.exit_code) == ("here\n", 2)
        assert (kept.offloaded, kept.response.output) == (False, "kept\n")
        await backend.aupload_files([(f"{folder}/up", b"up")])
        assert [answer.content for answer in await backend.adownload_files([f"{folder}/up"])] == [b"up"]
        await backend.adelete(f"{folder}/file")

    asyncio.run(flow())
    assert content(f"{folder}/up") == "up"


@pytest.mark.parametrize("interval", [0.05, lambda elapsed: min(0.05 + elapsed, 1)])
def test_any_way_of_polling(sandbox, interval):
    backend = DaytonaSandbox(sandbox=sandbox, timeout=60, sync_polling_interval=interval)
    assert backend.execute("sleep 0.3; echo polled").output == "polled\n"
