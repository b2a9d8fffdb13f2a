"""Archive, fork, snapshot, recover and what else is changed later (contract, control plane §5.5, §5.12 and §6.4)."""

import time

import pytest
from daytona import DaytonaConflictError, DaytonaNotFoundError, DaytonaValidationError, Sandbox

# their names before 0.226
FORK = "fork" if hasattr(Sandbox, "fork") else "_experimental_fork"
SNAPSHOT = "create_snapshot" if hasattr(Sandbox, "create_snapshot") else "_experimental_create_snapshot"


@pytest.fixture
def fork(made):
    """Makes forks that are gone after the test."""

    def fork(parent, *name):
        child = getattr(parent, FORK)(*name)
        made.append(child)
        return child

    return fork


@pytest.fixture
def snapshot(daytona, made_snapshots):
    """Makes snapshots of sandboxes that are gone after the test."""

    def snapshot(sandbox, name):
        getattr(sandbox, SNAPSHOT)(name)
        made_snapshots.append(name)
        # an event of its create, which the newest client applies when it arrives, can end its wait too early
        deadline = time.monotonic() + 30
        while (found := daytona.snapshot.get(name)).state == "snapshotting":
            assert time.monotonic() < deadline, "it is made for ever"
            time.sleep(0.05)
        return found

    return snapshot


def refused(call, *arguments, kind=DaytonaValidationError, status=400):
    with pytest.raises(kind) as error:
        call(*arguments)
    assert error.value.status_code == status


def archive(sandbox):
    """Stops and archives it, and waits until it is."""
    sandbox.stop()
    sandbox.archive()
    deadline = time.monotonic() + 30
    while sandbox.state != "archived":
        assert sandbox.state in ("stopped", "archiving")
        assert time.monotonic() < deadline, "it is archiving for ever"
        time.sleep(0.05)
        sandbox.refresh_data()


class TestArchive:
    def test_files_outlive_it(self, create, daytona, shows):
        sandbox = create(labels={"kept": "ß"})
        sandbox.fs.upload_file(b"kept\n", "kept.txt")
        assert sandbox.process.exec("chmod 600 kept.txt; ln -s kept.txt link; rm .bashrc ~/.profile").exit_code == 0
        archive(sandbox)
        assert daytona.get(sandbox.id).state == "archived"
        sandbox.start()
        shows(sandbox, lambda known: known.state, "started")
        assert sandbox.labels["kept"] == "ß"
        assert sandbox.fs.download_file("link") == b"kept\n"
        show = "stat -c '%U %a' kept.txt; ls ~/.profile 2>/dev/null || echo removed"
        assert sandbox.process.exec(show).result == "daytona 600\nremoved\n"

    def test_it_can_be_repeated(self, create):
        sandbox = create()
        for number in "12":
            assert sandbox.process.exec(f"echo {number} >>lines").exit_code == 0
            archive(sandbox)
            sandbox.start()
        assert sandbox.process.exec("cat lines").result == "1\n2\n"

    def test_only_a_stopped_one_is_archived(self, create, shows):
        sandbox = create()
        refused(sandbox.archive)
        shows(sandbox, lambda known: known.state, "started")
        assert sandbox.process.exec("echo works").result == "works\n"

    def test_an_archived_one_is_started_or_deleted(self, create, daytona, word):
        sandbox = create()
        archive(sandbox)
        for call in (sandbox.archive, sandbox.stop, getattr(sandbox, FORK)):
            refused(call)
        refused(getattr(sandbox, SNAPSHOT), word)
        with pytest.raises(DaytonaNotFoundError):
            daytona.snapshot.get(word)
        sandbox.delete()
        deadline = time.monotonic() + 15
        with pytest.raises(DaytonaNotFoundError):
            while time.monotonic() < deadline:
                assert daytona.get(sandbox.id).state in ("destroying", "destroyed")
                time.sleep(0.05)


class TestFork:
    def test_it_begins_with_the_files_of_its_parent(self, create, fork, daytona, shows):
        parent = create(labels={"family": "ß"}, env_vars={"GREETING": "Grüße"}, auto_stop_interval=7)
        parent.fs.upload_file(b"shared\n", "file.txt")
        process = parent.process.exec("sleep 4323 >/dev/null 2>&1 & echo $!").result.strip()
        child = fork(parent)
        shows(child, lambda known: known.state, "started")
        for known in (child, daytona.get(child.id)):
            assert known.id != parent.id
            assert known.labels == parent.labels
            assert known.env == {"GREETING": "Grüße"}
            assert known.auto_stop_interval == 7
            assert (known.cpu, known.memory, known.disk) == (parent.cpu, parent.memory, parent.disk)
        show = 'cat file.txt; hostname; echo "$GREETING"'
        assert child.process.exec(show).result == f"shared\n{child.id}\nGrüße\n"

        child.fs.upload_file(b"child\n", "file.txt")
        shows(parent, lambda known: known.state, "started")
        assert parent.process.exec(f"cat file.txt; kill -0 {process} && echo alive").result == "shared\nalive\n"
        parent.fs.upload_file(b"parent\n", "file.txt")
        child.stop()
        child.start()
        assert child.fs.download_file("file.txt") == b"child\n"

    def test_its_parent_is_deleted_after_it(self, create, fork, daytona):
        parent = create()
        child = fork(parent)
        grandchild = fork(child)
        for one in (parent, child):
            refused(one.delete)
            assert daytona.get(one.id).process.exec("echo works").result == "works\n"
        for one in (grandchild, child, parent):
            daytona.get(one.id).delete()

    def test_a_name_is_taken_once(self, create, fork, daytona, word):
        parent = create(name=word)
        child = fork(parent, f"{word} ß")
        assert child.name == f"{word} ß"
        assert daytona.get(child.name).id == child.id
        for taken in (word, child.name):
            refused(fork, parent, taken, kind=DaytonaConflictError, status=409)
        assert fork(parent).name not in (word, child.name)

    def test_of_a_stopped_one(self, create, fork, shows):
        parent = create()
        parent.fs.upload_file(b"shared\n", "file.txt")
        parent.stop()
        child = fork(parent)
        shows(child, lambda known: known.state, "started")
        assert child.fs.download_file("file.txt") == b"shared\n"
        shows(parent, lambda known: known.state, "stopped")


class TestSnapshot:
    def test_it_can_be_used_at_once(self, create, snapshot, daytona, word, shows):
        sandbox = create()
        sandbox.fs.upload_file(b"captured\n", "file.txt")
        name = f"{word}/of-a_sandbox:1.0"
        made = snapshot(sandbox, name)
        assert (made.name, made.state, made.general) == (name, "active", False)
        assert (made.cpu, made.mem, made.disk) == (sandbox.cpu, sandbox.memory, sandbox.disk)
        shows(sandbox, lambda known: known.state, "started")
        sandbox.fs.upload_file(b"later\n", "file.txt")
        for _ in range(2):
            another = create(snapshot=name)
            assert (another.state, another.snapshot) == ("started", name)
            assert another.fs.download_file("file.txt") == b"captured\n"
            another.fs.upload_file(b"changed\n", "file.txt")
        assert sandbox.fs.download_file("file.txt") == b"later\n"
        assert name in [found.name for found in daytona.snapshot.list().items]

    def test_of_a_stopped_one(self, create, snapshot, word, shows):
        sandbox = create()
        sandbox.fs.upload_file(b"captured\n", "file.txt")
        sandbox.stop()
        assert snapshot(sandbox, word).state == "active"
        shows(sandbox, lambda known: known.state, "stopped")
        assert create(snapshot=word).fs.download_file("file.txt") == b"captured\n"

    def test_a_name_is_taken_once(self, create, snapshot, daytona, word):
        sandbox = create()
        before = snapshot(sandbox, word)
        refused(snapshot, sandbox, word, kind=DaytonaConflictError, status=409)
        assert daytona.snapshot.get(word).id == before.id
        assert daytona.get(sandbox.id).state == "started"

    def test_a_deleted_one_is_gone_and_its_name_is_free(self, create, snapshot, daytona, word):
        sandbox = create()
        sandbox.fs.upload_file(b"captured\n", "file.txt")
        before = snapshot(sandbox, word)
        another = create(snapshot=word)
        daytona.snapshot.delete(before)
        refused(daytona.snapshot.get, word, kind=DaytonaNotFoundError, status=404)
        refused(daytona.snapshot.delete, before, kind=DaytonaNotFoundError, status=404)
        refused(lambda: create(snapshot=word))
        another.stop()
        another.start()
        assert another.fs.download_file("file.txt") == b"captured\n"
        again = snapshot(another, word)
        assert (again.id != before.id, again.state) == (True, "active")


def test_what_did_not_fail_is_not_recovered(create, shows):
    sandbox = create()
    refused(sandbox.recover)
    assert sandbox.process.exec("echo works").result == "works\n"
    sandbox.stop()
    refused(sandbox.recover)
    shows(sandbox, lambda known: known.state, "stopped")


def test_the_archive_interval_is_set(create, daytona, shows):
    sandbox = create()
    assert sandbox.auto_archive_interval == 7 * 24 * 60
    for interval, kept in ((60, 60), (0, 30 * 24 * 60), (99999, 30 * 24 * 60), (1440, 1440)):
        sandbox.set_auto_archive_interval(interval)
        sandbox.refresh_data()
        shows(sandbox, lambda known: known.auto_archive_interval, kept)
    refused(sandbox.set_auto_archive_interval, -1, status=None)  # by the client itself
    assert daytona.get(sandbox.id).auto_archive_interval == 1440


if hasattr(Sandbox, "set_public"):  # since 0.226

    def test_it_is_made_public(create, shows):
        sandbox = create()
        for public in (True, False):
            sandbox.set_public(public)
            shows(sandbox, lambda known: known.public, public)
