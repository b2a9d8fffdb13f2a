"""What came with newer clients (contract, toolbox §5, §11.2, §11.15, §12.8 and §18)."""

import time
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from daytona import (
    DaytonaConflictError,
    DaytonaError,
    DaytonaGitBranchExistsError,
    DaytonaGitDirtyWorktreeError,
    DaytonaGitPushRejectedError,
    DaytonaGitRepoNotFoundError,
    DaytonaSessionEndedError,
    FileUpload,
    SessionExecuteRequest,
)
from daytona.common.pty import PtySize
from plain import Plain

AUTHOR = {"author": "Ada Lovelace", "email": "ada@example.com"}


class TestDaemon:
    def test_the_environment_of_what_starts_later(self, sandbox, read, word):
        name = word.replace("-", "_").upper()
        sandbox.update_env({name: "wert ß $HOME", f"{name}_TWO": "2"})
        show = f'printf "%s|%s" "${name}" "${{{name}_TWO-unset}}"'
        assert read(show) == "wert ß $HOME|2"
        sandbox.process.create_session(word)
        answer = sandbox.process.execute_session_command(word, SessionExecuteRequest(command=show))
        sandbox.update_env({name: "later"}, unset=[f"{name}_TWO"])
        again = sandbox.process.execute_session_command(word, SessionExecuteRequest(command=show))
        sandbox.process.delete_session(word)
        assert (answer.stdout, again.stdout) == ("wert ß $HOME|2\n", "wert ß $HOME|2\n")
        assert read(show) == "later|unset"
        sandbox.update_env({}, unset=[name])
        with pytest.raises(DaytonaError):
            sandbox.update_env({"NO-NAME": "1"})

    def test_metrics(self, sandbox):
        metrics = sandbox.get_metrics_latest()
        assert metrics.cpu_count > 0
        assert metrics.cpu_used_pct >= 0
        assert 0 < metrics.mem_used <= metrics.mem_total
        assert 0 < metrics.disk_used < metrics.disk_total
        assert metrics.timestamp

    def test_a_list_of_several_levels(self, sandbox, folder):
        sandbox.fs.upload_files([FileUpload(b"", f"{folder}/{name}") for name in ("a/b/c.txt", "a/d.txt", "e.txt")])
        base = f"{sandbox.get_work_dir()}/{folder}"

        def paths(**depth):
            return {entry.path.removeprefix(f"{base}/") for entry in sandbox.fs.list_files(base, **depth)}

        assert paths() == paths(depth=1) == {"a", "e.txt"}
        assert paths(depth=2) == {"a", "a/b", "a/d.txt", "e.txt"}
        assert paths(depth=9) == {"a", "a/b", "a/b/c.txt", "a/d.txt", "e.txt"}


def fetch(url, content=None, kind="application/octet-stream", **options):
    """Status and body, of somebody without any credential."""
    try:
        with urlopen(Request(url, content, {"Content-Type": kind}, **options), timeout=60) as answer:
            return answer.status, answer.read()
    except HTTPError as error:
        return error.code, error.read()


class TestSignedUrls:
    @pytest.mark.parametrize("name", ["plain.txt", "a b+c.txt", "ümlaut %41&x=1;#?'\".txt", "日本語 🙂.txt"])
    def test_up_and_down(self, sandbox, folder, name):
        path, content = f"{folder}/{name}", bytes(range(256))
        assert fetch(sandbox.upload_url(path), content)[0] == 200
        assert sandbox.fs.download_file(path) == content
        assert fetch(sandbox.download_url(path, ttl_seconds=0)) == (200, content)
        assert [entry.name for entry in sandbox.fs.list_files(folder)] == [name]

        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\nform\r\n--x--\r\n'
        assert fetch(sandbox.upload_url(path), part, "multipart/form-data; boundary=x")[0] == 200
        assert fetch(sandbox.download_url(path)) == (200, b"form")

    def test_for_one_operation_on_one_file(self, sandbox, folder):
        path = f"{folder}/one"
        sandbox.fs.upload_files([FileUpload(b"1", path), FileUpload(b"2", f"{folder}/two")])
        down, up = sandbox.download_url(path), sandbox.upload_url(path)
        for url in (
            down.replace("one&", "two&"),
            down.replace("expires=", "expires=1"),
            down.replace("expires=", "expires=0&expires="),
            f"{down}&path={folder}%2Ftwo",
            down.replace("/files/download", "/files"),
            down.replace("/files/download", "/files/info"),
            up.replace("/files/upload-v2", "/files/download"),
            down[:-1],
        ):
            assert fetch(url)[0] == 401, url
        for url in (
            down,
            down.replace("download", "upload-v2"),
            up.replace("upload-v2", "upload"),
            up.replace("one&", "two&"),
        ):
            assert fetch(url, b"changed")[0] == 401, url
        assert fetch(up, method="DELETE")[0] == 401
        assert (sandbox.fs.download_file(path), sandbox.fs.download_file(f"{folder}/two")) == (b"1", b"2")

    def test_until_it_expires(self, sandbox, folder):
        path = f"{folder}/brief"
        sandbox.fs.upload_file(b"1", path)
        url, deadline = sandbox.download_url(path, ttl_seconds=1), time.monotonic() + 60
        while fetch(url) == (200, b"1"):
            assert time.monotonic() < deadline, "it opens for ever"
            time.sleep(0.2)
        assert fetch(url)[0] == 401

    def test_until_the_key_is_rotated_or_the_sandbox_gone(self, create):
        sandbox = create(labels={"made-by": "signed-urls"})
        sandbox.fs.upload_file(b"1", "file")
        before = sandbox.download_url("file", ttl_seconds=0)
        assert fetch(before) == (200, b"1")
        sandbox.rotate_signing_key()
        after = sandbox.download_url("file", ttl_seconds=0)
        assert (fetch(before)[0], fetch(after)) == (401, (200, b"1"))
        sandbox.stop()
        assert fetch(after)[0] == 400
        sandbox.start()
        assert (fetch(before)[0], fetch(after)) == (401, (200, b"1"))
        sandbox.delete()
        assert fetch(after)[0] == 401


class TestErrors:
    def test_a_session_that_ended(self, sandbox, word):
        sandbox.process.create_session(word)
        sandbox.process.execute_session_command(word, SessionExecuteRequest(command="exit 1"))
        with pytest.raises(DaytonaSessionEndedError):
            sandbox.process.execute_session_command(word, SessionExecuteRequest(command="true"))
        sandbox.process.delete_session(word)

    def test_a_terminal_of_an_impossible_size(self, sandbox, word):
        handlers = {"on_data": print} if isinstance(sandbox, Plain) else {}
        with pytest.raises(DaytonaError) as error:
            sandbox.process.create_pty_session(word, pty_size=PtySize(rows=5000, cols=80), **handlers)
        assert error.value.status_code == 400


class TestGit:
    def test_from_nothing(self, sandbox, word, read):
        sandbox.git.init(word, initial_branch="trunk")
        sandbox.git.init(word)  # again is harmless
        assert sandbox.git.status(word).current_branch == "trunk"
        assert sandbox.git.branches(word).branches == []
        sandbox.fs.upload_file(b"1\n", f"{word}/one")
        sandbox.git.add(word, ["one"])
        sandbox.git.commit(word, "One", **AUTHOR)
        branches = sandbox.git.branches(word)
        assert (branches.branches, branches.current) == (["trunk"], "trunk")
        sandbox.git.init(f"{word}/bare.git", bare=True)
        assert read(f"git -C {word}/bare.git rev-parse --is-bare-repository") == "true\n"
        sandbox.fs.delete_file(word, recursive=True)

    def test_remotes(self, sandbox, remote, word):
        sandbox.git.init(word, initial_branch="main")
        assert sandbox.git.remotes(word).remotes == []
        sandbox.git.remote_add(word, "origin", "/no/such/place")
        with pytest.raises(DaytonaConflictError):
            sandbox.git.remote_add(word, "origin", remote.directory)
        sandbox.git.remote_add(word, "origin", remote.directory, fetch=True, overwrite=True)
        assert [(one.name, one.url) for one in sandbox.git.remotes(word).remotes] == [("origin", remote.directory)]
        assert sandbox.git.remote_get(word, "origin") == remote.directory
        assert sandbox.git.remote_get(word, "other") is None
        sandbox.git.pull(word, branch="develop", remote="origin")
        assert sandbox.fs.download_file(f"{word}/develop.txt") == b"develop\n"
        sandbox.fs.delete_file(word, recursive=True)

    def test_published_with_its_upstream(self, sandbox, remote, word, read):
        sandbox.git.clone(remote.url, word, depth=1, **remote.credentials)
        assert read("git rev-list --count HEAD", cwd=word) == "1\n"
        status = sandbox.git.status(word)
        assert (status.upstream, status.detached) == ("origin/main", False)
        sandbox.git.create_branch(word, "topic")
        sandbox.git.checkout_branch(word, "topic")
        assert not sandbox.git.status(word).upstream
        sandbox.git.push(word, branch="topic", remote="origin", set_upstream=True, **remote.credentials)
        status = sandbox.git.status(word)
        assert (status.upstream, status.branch_published) == ("origin/topic", True)
        sandbox.git.checkout_branch(word, remote.head("topic"))
        assert sandbox.git.status(word).detached
        sandbox.fs.delete_file(word, recursive=True)

    def test_reset_and_restore(self, sandbox, remote, word):
        sandbox.git.clone(remote.directory, word)

        def change():
            sandbox.fs.upload_file(b"changed\n", f"{word}/README.md")
            sandbox.git.add(word, ["README.md"])

        def state():
            return [(one.staging, one.worktree) for one in sandbox.git.status(word).file_status]

        change()
        sandbox.git.restore(word, ["README.md"], staged=True)
        assert state() == [("Unmodified", "Modified")]
        sandbox.git.restore(word, ["README.md"])
        assert state() == []
        change()
        sandbox.git.reset(word)
        assert state() == [("Unmodified", "Modified")]
        change()
        sandbox.git.reset(word, files=["README.md"])
        assert state() == [("Unmodified", "Modified")]
        sandbox.git.reset(word, mode="hard", target="HEAD~1")
        assert state() == []
        assert sandbox.fs.download_file(f"{word}/README.md") == b"hello\n"
        with pytest.raises(DaytonaError) as error:
            sandbox.git.reset(word, mode="sideways")
        assert error.value.status_code == 400
        sandbox.fs.delete_file(word, recursive=True)

    def test_configuration(self, sandbox, word):
        sandbox.git.init(word)
        sandbox.git.set_config("harbor.test", "global ß")
        sandbox.git.set_config("harbor.test", "local", scope="local", path=word)
        assert sandbox.git.get_config("harbor.test") == "global ß"
        assert sandbox.git.get_config("harbor.test", scope="local", path=word) == "local"
        assert sandbox.git.get_config("harbor.none") is None
        sandbox.git.configure_user("Ada Lovelace", "ada@example.com", scope="local", path=word)
        assert sandbox.git.get_config("user.email", scope="local", path=word) == "ada@example.com"
        sandbox.fs.delete_file(word, recursive=True)

    def test_a_stored_password(self, sandbox, remote, git_server, word, read):
        host = remote.url.split("/")[2]
        sandbox.git.dangerously_authenticate(**remote.credentials, host=host, protocol="http")
        try:
            sandbox.git.clone(remote.url, word)
            assert sandbox.git.status(word).current_branch == "main"
        finally:
            read("git config --global --unset-all credential.helper; rm -f .git-credentials", cwd="/home/daytona")
        sandbox.fs.delete_file(word, recursive=True)

    def test_errors_have_classes_of_their_own(self, sandbox, remote, folder):
        with pytest.raises(DaytonaGitRepoNotFoundError):
            sandbox.git.status(folder)
        ours, theirs = f"{folder}/ours", f"{folder}/theirs"
        for path in (ours, theirs):
            sandbox.git.clone(remote.url, path, **remote.credentials)
            sandbox.git.commit(path, f"In {path}", allow_empty=True, **AUTHOR)
        with pytest.raises(DaytonaGitBranchExistsError):
            sandbox.git.create_branch(ours, "main")
        sandbox.git.push(theirs, **remote.credentials)
        with pytest.raises(DaytonaGitPushRejectedError):
            sandbox.git.push(ours, **remote.credentials)
        sandbox.fs.upload_file(b"mine\n", f"{ours}/README.md")
        with pytest.raises(DaytonaGitDirtyWorktreeError):
            sandbox.git.checkout_branch(ours, remote.first)


def test_warm_pools(daytona, create):
    pool = daytona.warm_pool.create("daytona-small", pool=1)
    try:
        assert (pool.snapshot, pool.pool, pool.cpu, pool.env) == ("daytona-small", 1, 1, {})
        # this service passes on the generated client's own errors
        with pytest.raises(Exception, match="exists already"):
            daytona.warm_pool.create("daytona-small", pool=1)

        def ready():
            return [found.current_size for found in daytona.warm_pool.list() if found.id == pool.id] == [1]

        deadline = time.monotonic() + 60
        while not ready():
            assert time.monotonic() < deadline, daytona.warm_pool.list()
            time.sleep(0.2)
        sandbox = create(snapshot="daytona-small", labels={"warm": "yes"})
        assert sandbox.state == "started"
        assert sandbox.labels["warm"] == "yes"
        assert sandbox.process.exec("hostname").result.strip() == sandbox.id
        assert daytona.warm_pool.update(pool.id, pool=0).pool == 0
    finally:
        daytona.warm_pool.delete(pool.id)
    assert pool.id not in [found.id for found in daytona.warm_pool.list()]
