"""Repositories on disk and on a server with passwords (contract, toolbox §12 and §20.5)."""

import pytest
from conftest import VERSION
from daytona import (
    DaytonaAuthenticationError,
    DaytonaConflictError,
    DaytonaError,
    DaytonaNotFoundError,
)

AUTHOR = {"author": "Ada Lovelace", "email": "ada@example.com"}


@pytest.fixture
def clone(sandbox, remote, word):
    """Clones this test's remote repository as somebody who may; gives where."""
    made = []

    def clone(**options):
        made.append(f"{word}-clone-{len(made)}")
        sandbox.git.clone(remote.url, made[-1], **{**remote.credentials, **options})
        return made[-1]

    yield clone
    for path in made:
        sandbox.fs.delete_file(path, recursive=True)


@pytest.fixture
def commit(sandbox):
    """Writes one file, adds and commits it; gives the hash."""

    def commit(path, name, content="content\n", message="Change it"):
        sandbox.fs.upload_file(content.encode(), f"{path}/{name}")
        sandbox.git.add(path, [name])
        return sandbox.git.commit(path, message, **AUTHOR).sha

    return commit


def files(sandbox, path):
    return {one.name: (one.staging, one.worktree) for one in sandbox.git.status(path).file_status}


class TestClone:
    def test_with_a_password(self, sandbox, clone, remote, read):
        path = clone()
        assert read("git log --format=%s", cwd=path) == "Second\nFirst\n"
        assert sandbox.fs.download_file(f"{path}/README.md") == b"hello\nagain\n"
        status = sandbox.git.status(path)
        assert (status.current_branch, status.file_status) == ("main", [])
        assert (status.branch_published, status.ahead, status.behind) == (True, 0, 0)
        assert sandbox.git.branches(path).branches == ["main"]
        assert sandbox.process.exec(f"grep -rF '{remote.credentials['password']}' .git", cwd=path).exit_code == 1

    def test_without_or_with_a_wrong_one(self, sandbox, remote, word):
        for credentials in ({}, {"username": "git", "password": "wrong"}):
            with pytest.raises(DaytonaAuthenticationError) as error:
                sandbox.git.clone(remote.url, f"{word}-refused", **credentials)
            assert error.value.status_code == 401
            assert "wrong" not in str(error.value)
        with pytest.raises(DaytonaNotFoundError):
            sandbox.fs.get_file_info(f"{word}-refused")

    def test_of_a_branch(self, sandbox, clone):
        path = clone(branch="develop")
        assert sandbox.git.status(path).current_branch == "develop"
        assert sandbox.fs.download_file(f"{path}/develop.txt") == b"develop\n"

    def test_of_a_commit(self, sandbox, clone, remote, read):
        path = clone(commit_id=remote.first)
        assert read("git rev-parse HEAD", cwd=path).strip() == remote.first
        assert sandbox.git.status(path).current_branch == "HEAD"
        assert sandbox.fs.download_file(f"{path}/README.md") == b"hello\n"

    def test_of_a_directory(self, sandbox, remote, word):
        for number, url in enumerate([f"{remote.directory}", f"file://{remote.directory}"]):
            path = f"{word}-local-{number}"
            sandbox.git.clone(url, path)
            assert sandbox.fs.download_file(f"{path}/README.md") == b"hello\nagain\n"
            sandbox.fs.delete_file(path, recursive=True)

    def test_over_tls_that_nobody_vouches_for(self, sandbox, clone, remote, word):
        with pytest.raises(DaytonaError, match="(?i)certificate"):
            sandbox.git.clone(remote.secure_url, f"{word}-refused", **remote.credentials)
        path = f"{word}-insecure"
        sandbox.git.clone(remote.secure_url, path, insecure_skip_tls=True, **remote.credentials)
        assert sandbox.git.status(path).current_branch == "main"
        with pytest.raises(DaytonaError, match="(?i)certificate"):
            sandbox.git.pull(path, **remote.credentials)  # it was for that one call
        sandbox.fs.delete_file(path, recursive=True)

    def test_what_is_not_there(self, sandbox, clone, remote, word):
        with pytest.raises(DaytonaNotFoundError):
            sandbox.git.clone(remote.url, f"{word}-none", branch="no-such-branch", **remote.credentials)
        with pytest.raises(DaytonaNotFoundError):
            sandbox.git.clone(remote.url + ".none", f"{word}-none", **remote.credentials)
        with pytest.raises(DaytonaNotFoundError):
            sandbox.git.clone(f"{remote.directory}.none", f"{word}-none")

    def test_onto_a_repository(self, sandbox, clone, remote):
        path = clone()
        with pytest.raises(DaytonaConflictError):
            sandbox.git.clone(remote.url, path, **remote.credentials)
        assert sandbox.git.status(path).current_branch == "main"


class TestChanges:
    def test_from_a_file_to_a_commit(self, sandbox, clone, read):
        path = clone()
        sandbox.fs.upload_file(b"new\n", f"{path}/new.txt")
        sandbox.fs.upload_file(b"changed\n", f"{path}/README.md")
        assert files(sandbox, path) == {
            "new.txt": ("Untracked", "Untracked"),
            "README.md": ("Unmodified", "Modified"),
        }
        sandbox.git.add(path, ["new.txt", "README.md"])
        assert files(sandbox, path) == {"new.txt": ("Added", "Unmodified"), "README.md": ("Modified", "Unmodified")}
        answer = sandbox.git.commit(path, "Say it\n\nWith a body: ß", **AUTHOR)
        assert read("git rev-parse HEAD", cwd=path).strip() == answer.sha
        assert read("git log -1 --format='%an <%ae> %cn%n%B'", cwd=path).rstrip() == (
            "Ada Lovelace <ada@example.com> Ada Lovelace\nSay it\n\nWith a body: ß"
        )
        assert files(sandbox, path) == {}
        assert sandbox.git.status(path).ahead == 1

    def test_everything_at_once(self, sandbox, clone, read):
        path = clone()
        read("mkdir -p a/b; echo 1 >a/b/one; echo 2 >'zwei ß'; rm README.md", cwd=path)
        sandbox.git.add(path, ["."])
        assert files(sandbox, path) == {
            "a/b/one": ("Added", "Unmodified"),
            "zwei ß": ("Added", "Unmodified"),
            "README.md": ("Deleted", "Unmodified"),
        }

    def test_an_empty_commit(self, sandbox, clone, read):
        path = clone()
        with pytest.raises(DaytonaError):
            sandbox.git.commit(path, "Nothing", **AUTHOR)
        sha = sandbox.git.commit(path, "Nothing", allow_empty=True, **AUTHOR).sha
        assert read("git log -1 --format='%H %s'", cwd=path) == f"{sha} Nothing\n"

    def test_history(self, sandbox, clone, commit, remote):
        path = clone()
        sha = commit(path, "third.txt", message="Third")
        # no SDK has a method for it, their generated clients do
        history = sandbox.git._api_client.get_commit_history(path=path)
        assert [one.message.strip() for one in history] == ["Third", "Second", "First"]
        assert (history[0].hash, history[2].hash) == (sha, remote.first)
        assert (history[0].author, history[0].email) == ("Ada Lovelace", "ada@example.com")
        assert history[0].timestamp

    def test_a_directory_that_is_no_repository(self, sandbox, folder):
        for call in (
            lambda: sandbox.git.status(folder),
            lambda: sandbox.git.branches(folder),
            lambda: sandbox.git.add(folder, ["."]),
            lambda: sandbox.git.commit(folder, "x", **AUTHOR),
            lambda: sandbox.git.create_branch(folder, "x"),
            lambda: sandbox.git.pull(folder),
        ):
            with pytest.raises(DaytonaNotFoundError):
                call()


class TestBranches:
    def test_from_birth_to_death(self, sandbox, clone, commit):
        path = clone()
        sandbox.git.create_branch(path, "feature/one")
        sandbox.git.checkout_branch(path, "feature/one")
        assert sandbox.git.status(path).current_branch == "feature/one"
        assert sorted(sandbox.git.branches(path).branches) == ["feature/one", "main"]
        commit(path, "feature.txt")  # and not merged anywhere
        sandbox.git.checkout_branch(path, "main")
        assert sandbox.git.status(path).current_branch == "main"
        with pytest.raises(DaytonaNotFoundError):
            sandbox.fs.get_file_info(f"{path}/feature.txt")
        sandbox.git.delete_branch(path, "feature/one")
        assert sandbox.git.branches(path).branches == ["main"]

    def test_checkout_of_a_commit(self, sandbox, clone, remote):
        path = clone()
        sandbox.git.checkout_branch(path, remote.first)
        assert sandbox.git.status(path).current_branch == "HEAD"
        assert sandbox.fs.download_file(f"{path}/README.md") == b"hello\n"

    def test_what_cannot_be(self, sandbox, clone, remote):
        path = clone()
        with pytest.raises(DaytonaConflictError):
            sandbox.git.create_branch(path, "main")
        for call in (sandbox.git.checkout_branch, sandbox.git.delete_branch):
            with pytest.raises(DaytonaNotFoundError):
                call(path, "no-such-branch")
        with pytest.raises(DaytonaError):
            sandbox.git.delete_branch(path, "main")
        sandbox.fs.upload_file(b"mine\n", f"{path}/README.md")
        with pytest.raises(DaytonaConflictError):
            sandbox.git.checkout_branch(path, remote.first)
        assert sandbox.fs.download_file(f"{path}/README.md") == b"mine\n"


class TestServer:
    def test_pushed_and_pulled(self, sandbox, clone, commit, remote):
        ours, theirs = clone(), clone()
        sha = commit(ours, "ours.txt", "ours\n")
        with pytest.raises(DaytonaAuthenticationError):
            sandbox.git.push(ours)
        assert sandbox.git.status(ours).ahead == 1
        sandbox.git.push(ours, **remote.credentials)
        assert sandbox.git.status(ours).ahead == 0
        assert remote.head("main") == sha
        with pytest.raises(DaytonaAuthenticationError):
            sandbox.git.pull(theirs, username="git", password="wrong")
        sandbox.git.pull(theirs, **remote.credentials)
        assert sandbox.fs.download_file(f"{theirs}/ours.txt") == b"ours\n"
        for path in (ours, theirs):  # nothing more to do is no error
            sandbox.git.push(path, **remote.credentials)
            sandbox.git.pull(path, **remote.credentials)

    def test_a_new_branch(self, sandbox, clone, commit, remote):
        path = clone()
        sandbox.git.create_branch(path, "topic")
        sandbox.git.checkout_branch(path, "topic")
        sha = commit(path, "topic.txt")
        sandbox.git.push(path, **remote.credentials)
        assert remote.head("topic") == sha
        assert sandbox.fs.download_file(f"{clone(branch='topic')}/topic.txt") == b"content\n"

    def test_somebody_was_faster(self, sandbox, clone, commit, remote):
        ours, theirs = clone(), clone()
        commit(ours, "ours.txt")
        sha = commit(theirs, "theirs.txt")
        sandbox.git.push(theirs, **remote.credentials)
        with pytest.raises(DaytonaConflictError):
            sandbox.git.push(ours, **remote.credentials)
        assert remote.head("main") == sha
        with pytest.raises(DaytonaConflictError):
            sandbox.git.pull(ours, **remote.credentials)  # forward only
        status = sandbox.git.status(ours)
        assert (status.ahead, status.file_status) == (1, [])

    def test_local_changes_are_not_overwritten(self, sandbox, clone, commit, remote):
        ours, theirs = clone(), clone()
        commit(theirs, "README.md", "theirs\n")
        sandbox.git.push(theirs, **remote.credentials)
        sandbox.fs.upload_file(b"ours\n", f"{ours}/README.md")
        with pytest.raises(DaytonaConflictError):
            sandbox.git.pull(ours, **remote.credentials)
        assert sandbox.fs.download_file(f"{ours}/README.md") == b"ours\n"

    def test_a_large_push(self, sandbox, clone, remote, read):
        path = clone()
        read("head -c 3000000 /dev/urandom >large.bin", cwd=path)
        sandbox.git.add(path, ["large.bin"])
        sha = sandbox.git.commit(path, "Large", **AUTHOR).sha
        sandbox.git.push(path, **remote.credentials)
        assert remote.head("main") == sha

    def test_nobody_is_there(self, sandbox, clone, read):
        path = clone()
        read("git remote set-url origin http://127.0.0.1:1/none.git", cwd=path)
        for call in (sandbox.git.pull, sandbox.git.push):
            with pytest.raises(DaytonaError) as error:
                call(path)
            if VERSION >= (0, 226, 0):
                assert error.value.status_code == 502

    def test_a_remote_on_disk(self, sandbox, remote, word, commit):
        path = f"{word}-disk"
        sandbox.git.clone(remote.directory, path)
        sha = commit(path, "disk.txt")
        sandbox.git.push(path)
        assert remote.head("main") == sha
        sandbox.git.pull(path)
        sandbox.fs.delete_file(path, recursive=True)
