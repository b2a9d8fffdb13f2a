"""Files (contract, toolbox §11 and §20.2). Paths are relative to the work directory unless one says otherwise."""

import io
import random
import threading

import pytest
from daytona import (
    DaytonaAuthorizationError,
    DaytonaConflictError,
    DaytonaError,
    DaytonaNotFoundError,
    FileDownloadRequest,
    FileUpload,
)

EVERY_BYTE = bytes(range(256)) * 4
NAMES = ["plain.txt", "with space.txt", "ümlaut ß.txt", "日本語.txt", "emoji 🙂.txt", "quote'\"%41;=.txt", "-dash.txt"]


def names(sandbox, path):
    return [entry.name for entry in sandbox.fs.list_files(path)]


class TestFolders:
    @pytest.mark.parametrize(("mode", "permissions"), [("755", "0755"), ("700", "0700"), ("0755", "0755")])
    def test_made_with_a_mode(self, sandbox, folder, mode, permissions):
        sandbox.fs.create_folder(f"{folder}/new", mode)
        info = sandbox.fs.get_file_info(f"{folder}/new")
        assert (info.name, info.is_dir, info.permissions) == ("new", True, permissions)
        assert info.mode.startswith("d")
        assert names(sandbox, folder) == ["new"]
        assert sandbox.fs.list_files(f"{folder}/new") == []

    def test_made_with_parents_and_twice(self, sandbox, folder):
        for _ in range(2):
            sandbox.fs.create_folder(f"{folder}/a/b/c", "755")
        assert names(sandbox, f"{folder}/a") == ["b"]
        assert names(sandbox, f"{folder}/a/b") == ["c"]

    def test_a_file_in_the_way_is_an_error(self, sandbox, folder):
        sandbox.fs.upload_file(b"", f"{folder}/file")
        with pytest.raises(DaytonaError):
            sandbox.fs.create_folder(f"{folder}/file", "755")


class TestUpload:
    def test_bytes_come_back(self, sandbox, folder):
        sandbox.fs.upload_file(EVERY_BYTE, f"{folder}/bytes.bin")
        assert sandbox.fs.download_file(f"{folder}/bytes.bin") == EVERY_BYTE

    def test_a_local_file(self, sandbox, folder, tmp_path):
        (tmp_path / "local").write_bytes(EVERY_BYTE)
        sandbox.fs.upload_file(str(tmp_path / "local"), f"{folder}/remote")
        assert sandbox.fs.download_file(f"{folder}/remote") == EVERY_BYTE

    def test_several_at_once(self, sandbox, folder, tmp_path):
        (tmp_path / "two").write_bytes(b"second")
        sandbox.fs.upload_files(
            [
                FileUpload(b"first", f"{folder}/one"),
                FileUpload(str(tmp_path / "two"), f"{folder}/deep/er/two"),
                FileUpload(b"", f"{folder}/empty"),
            ]
        )
        assert names(sandbox, folder) == ["deep", "empty", "one"]
        assert sandbox.fs.download_file(f"{folder}/deep/er/two") == b"second"
        assert sandbox.fs.get_file_info(f"{folder}/deep").permissions == "0755"

    def test_info_is_exact(self, sandbox, folder):
        sandbox.fs.upload_file(b"hello world", f"{folder}/info.txt")
        info = sandbox.fs.get_file_info(f"{folder}/info.txt")
        assert (info.name, info.size, info.is_dir) == ("info.txt", 11, False)
        assert (info.mode, info.permissions, info.owner, info.group) == ("-rw-r--r--", "0644", "1000", "1000")
        assert info.modified_at and info.mod_time

    def test_an_absolute_path(self, sandbox, folder, read):
        path = f"{sandbox.get_work_dir()}/{folder}/absolute"
        sandbox.fs.upload_file(b"there", path)
        assert read(f"cat {folder}/absolute") == "there"

    def test_overwriting_replaces_and_keeps_the_mode(self, sandbox, folder, read):
        path = f"{folder}/file"
        sandbox.fs.upload_file(b"a long first content", path)
        assert read(f"stat -c %a {path}") == "644\n"
        sandbox.fs.upload_file(b"short", path)
        assert read(f"stat -c %a {path}; cat {path}") == "644\nshort"
        read(f"chmod 600 {path}")
        sandbox.fs.upload_file(b"again", path)
        assert read(f"stat -c %a {path}; cat {path}") == "600\nagain"

    @pytest.mark.parametrize("name", NAMES)
    def test_any_name(self, sandbox, folder, name):
        path = f"{folder}/{name}"
        sandbox.fs.upload_file(name.encode(), path)
        assert names(sandbox, folder) == [name]
        assert sandbox.fs.get_file_info(path).name == name
        assert sandbox.fs.download_file(path) == name.encode()
        assert b"".join(sandbox.fs.download_file_stream(path)) == name.encode()

    def test_a_symlink_is_written_through(self, sandbox, folder, read):
        read("echo old >target; ln -s target link; ln -s later dangling", cwd=folder)
        sandbox.fs.upload_file(b"new", f"{folder}/link")
        sandbox.fs.upload_file(b"made", f"{folder}/dangling")
        assert read("readlink link dangling; cat target later", cwd=folder) == "target\nlater\nnewmade"

    def test_a_directory_is_not_overwritten(self, sandbox, folder):
        sandbox.fs.upload_file(b"inside", f"{folder}/directory/inside")
        sandbox.fs.upload_file(b"beside", f"{folder}/beside")
        with pytest.raises(DaytonaError) as error:
            sandbox.fs.upload_file(b"onto", f"{folder}/directory")
        assert error.value.status_code == 400
        assert names(sandbox, folder) == ["beside", "directory"]
        assert names(sandbox, f"{folder}/directory") == ["inside"]

    def test_where_one_may_not_write_is_an_error(self, sandbox):
        with pytest.raises(DaytonaError):
            sandbox.fs.upload_file(b"no", "/etc/not-for-me")


@pytest.fixture(scope="module")
def content():
    """More than fits into any buffer on the way."""
    return random.Random(1).randbytes(8 * 1024 * 1024)


class TestStreams:
    def test_there_and_back_with_progress(self, sandbox, folder, content):
        sent, received, chunks = [], [], []
        path = f"{folder}/stream.bin"
        sandbox.fs.upload_file_stream(io.BytesIO(content), path, on_progress=lambda p: sent.append(p.bytes_sent))
        assert sent == sorted(sent) and sent[-1] == len(content)
        assert sandbox.fs.get_file_info(path).permissions == "0644"

        def note(progress):
            received.append((progress.bytes_received, progress.total_bytes))

        for chunk in sandbox.fs.download_file_stream(path, on_progress=note):
            chunks.append(chunk)
        assert b"".join(chunks) == content
        assert received == sorted(received)
        assert received[-1] == (len(content), len(content))
        assert {total for _, total in received} == {len(content)}

    def test_from_bytes_and_from_a_local_file(self, sandbox, folder, tmp_path):
        (tmp_path / "local").write_bytes(EVERY_BYTE)
        for number, source in enumerate([EVERY_BYTE, str(tmp_path / "local")]):
            sandbox.fs.upload_file_stream(source, f"{folder}/new/{number}")
            assert sandbox.fs.download_file(f"{folder}/new/{number}") == EVERY_BYTE
        assert names(sandbox, f"{folder}/new") == ["0", "1"]

    def test_a_cancelled_upload_harms_nothing(self, sandbox, folder, content):
        cancel = threading.Event()
        with pytest.raises(DaytonaError, match="(?i)cancel"):
            sandbox.fs.upload_file_stream(
                io.BytesIO(content), f"{folder}/cancelled", on_progress=lambda _: cancel.set(), cancel_event=cancel
            )
        sandbox.fs.upload_file(b"still works", f"{folder}/after")
        assert sandbox.fs.download_file(f"{folder}/after") == b"still works"

    def test_a_cancelled_download_harms_nothing(self, sandbox, folder, content):
        sandbox.fs.upload_file(content, f"{folder}/large")
        cancel = threading.Event()
        with pytest.raises(DaytonaError, match="(?i)cancel"):
            for _ in sandbox.fs.download_file_stream(f"{folder}/large", cancel_event=cancel):
                cancel.set()
        assert sandbox.fs.download_file(f"{folder}/large") == content

    def test_a_missing_file_is_not_found(self, sandbox, folder):
        with pytest.raises(DaytonaNotFoundError):
            b"".join(sandbox.fs.download_file_stream(f"{folder}/missing"))


class TestDownload:
    def test_to_a_local_file(self, sandbox, folder, tmp_path):
        sandbox.fs.upload_file(EVERY_BYTE, f"{folder}/remote")
        sandbox.fs.download_file(f"{folder}/remote", str(tmp_path / "local"))
        assert (tmp_path / "local").read_bytes() == EVERY_BYTE

    def test_an_empty_file(self, sandbox, folder):
        sandbox.fs.upload_file(b"", f"{folder}/empty")
        assert sandbox.fs.download_file(f"{folder}/empty") == b""
        assert sandbox.fs.get_file_info(f"{folder}/empty").size == 0

    def test_several_in_the_order_asked_for(self, sandbox, folder, tmp_path):
        for number in (1, 2, 3):
            sandbox.fs.upload_file(f"number {number}".encode(), f"{folder}/{number}")
        answers = sandbox.fs.download_files(
            [
                FileDownloadRequest(f"{folder}/3"),
                FileDownloadRequest(f"{folder}/missing"),
                FileDownloadRequest(f"{folder}/1", str(tmp_path / "one")),
                FileDownloadRequest(f"{folder}/2"),
            ]
        )
        assert [answer.source for answer in answers] == [f"{folder}/{name}" for name in (3, "missing", 1, 2)]
        assert [answer.result for answer in answers] == [b"number 3", None, str(tmp_path / "one"), b"number 2"]
        assert (tmp_path / "one").read_bytes() == b"number 1"
        assert [answer.error is None for answer in answers] == [True, False, True, True]
        details = answers[1].error_details
        assert (details.status_code, details.error_code) == (404, "FILE_NOT_FOUND")

    def test_a_missing_file_is_not_found(self, sandbox, folder):
        with pytest.raises(DaytonaNotFoundError) as error:
            sandbox.fs.download_file(f"{folder}/missing")
        assert error.value.status_code == 404
        with pytest.raises(DaytonaNotFoundError):
            sandbox.fs.get_file_info(f"{folder}/missing")
        with pytest.raises(DaytonaNotFoundError):
            sandbox.fs.list_files(f"{folder}/missing")

    def test_what_the_user_may_not_read_is_refused(self, sandbox):
        with pytest.raises(DaytonaAuthorizationError) as error:
            sandbox.fs.download_file("/etc/shadow")
        assert error.value.status_code == 403

    def test_a_directory_is_no_file(self, sandbox, folder):
        with pytest.raises(DaytonaError) as error:
            sandbox.fs.download_file(folder)
        assert error.value.status_code == 400


class TestChanges:
    def test_move(self, sandbox, folder):
        sandbox.fs.upload_file(b"content", f"{folder}/old")
        sandbox.fs.move_files(f"{folder}/old", f"{folder}/new")
        assert names(sandbox, folder) == ["new"]
        assert sandbox.fs.download_file(f"{folder}/new") == b"content"

    def test_move_does_not_overwrite(self, sandbox, folder):
        sandbox.fs.upload_files([FileUpload(b"a", f"{folder}/a"), FileUpload(b"b", f"{folder}/b")])
        with pytest.raises(DaytonaConflictError):
            sandbox.fs.move_files(f"{folder}/a", f"{folder}/b")
        with pytest.raises(DaytonaNotFoundError):
            sandbox.fs.move_files(f"{folder}/none", f"{folder}/c")
        assert sandbox.fs.download_file(f"{folder}/b") == b"b"

    def test_delete(self, sandbox, folder):
        sandbox.fs.upload_files([FileUpload(b"", f"{folder}/file"), FileUpload(b"", f"{folder}/tree/deep/leaf")])
        sandbox.fs.delete_file(f"{folder}/file")
        assert names(sandbox, folder) == ["tree"]
        with pytest.raises(DaytonaError) as error:
            sandbox.fs.delete_file(f"{folder}/tree")
        assert error.value.status_code == 400
        sandbox.fs.delete_file(f"{folder}/tree", recursive=True)
        assert names(sandbox, folder) == []
        with pytest.raises(DaytonaNotFoundError):
            sandbox.fs.delete_file(f"{folder}/tree", recursive=True)

    def test_permissions(self, sandbox, folder):
        path = f"{folder}/file"
        sandbox.fs.upload_file(b"", path)
        sandbox.fs.set_file_permissions(path, mode="600")
        assert sandbox.fs.get_file_info(path).mode == "-rw-------"
        sandbox.fs.set_file_permissions(path, mode="754", owner="daytona", group="daytona")
        info = sandbox.fs.get_file_info(path)
        assert (info.permissions, info.owner, info.group) == ("0754", "1000", "1000")

    def test_find_text(self, sandbox, folder):
        sandbox.fs.upload_files(
            [
                FileUpload(b"nothing\nhere is a needle\n", f"{folder}/a.txt"),
                FileUpload(b"needle.*\nNeedle\n", f"{folder}/deep/b.txt"),
                FileUpload(b"\0needle", f"{folder}/binary"),
            ]
        )
        found = sandbox.fs.find_files(folder, "needle")
        assert [(match.file, match.line, match.content) for match in found] == [
            (f"{folder}/a.txt", 2, "here is a needle"),
            (f"{folder}/deep/b.txt", 1, "needle.*"),
        ]
        assert [match.line for match in sandbox.fs.find_files(folder, "e.*")] == [1]

    def test_search_names(self, sandbox, folder):
        sandbox.fs.upload_files([FileUpload(b"", f"{folder}/{name}") for name in ("a.txt", "b.md", "deep/c.txt")])
        assert sandbox.fs.search_files(folder, "*.txt").files == [f"{folder}/a.txt", f"{folder}/deep/c.txt"]
        assert sandbox.fs.search_files(folder, "nothing*").files == []

    def test_replace_text(self, sandbox, folder):
        sandbox.fs.upload_files(
            [FileUpload(b"old and old.old", f"{folder}/a"), FileUpload(b"nothing to do", f"{folder}/b")]
        )
        paths = [f"{folder}/{name}" for name in ("a", "b", "missing")]
        results = sandbox.fs.replace_in_files(paths, "old", "new")
        assert [(result.file, result.success) for result in results] == list(zip(paths, [True, True, False]))
        assert sandbox.fs.download_file(f"{folder}/a") == b"new and new.new"
        assert sandbox.fs.download_file(f"{folder}/b") == b"nothing to do"

    def test_a_list_is_sorted_and_shows_all(self, sandbox, folder, read):
        read("touch b .hidden; mkdir a; ln -s b link; ln -s nowhere dangling; : >c", cwd=folder)
        entries = {entry.name: entry.is_dir for entry in sandbox.fs.list_files(folder)}
        assert list(entries) == [".hidden", "a", "b", "c", "link"]
        assert [name for name, is_dir in entries.items() if is_dir] == ["a"]
