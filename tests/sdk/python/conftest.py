"""Clients and sandboxes for the flows. Every flow runs with the synchronous and the asynchronous client, those of the
oldest versions with the synchronous one alone.

`DAYTONA_API_URL` and `DAYTONA_API_KEY` say which harbor; the installed `daytona` package says which version.
"""

import contextlib
import os
import time
import uuid
from importlib.metadata import version
from pathlib import Path

import pytest
from daytona import (
    AsyncDaytona,
    CreateSandboxFromImageParams,
    CreateSandboxFromSnapshotParams,
    CreateSnapshotParams,
    Daytona,
    DaytonaConfig,
    Resources,
)
from daytona.common.errors import DaytonaNotFoundError
from git_remote import Server
from plain import Loop, plain

# what a sandbox of an image of one's own gets
SMALL = Resources(cpu=1, memory=1, disk=3)

VERSION = tuple(int(part) for part in version("daytona").split("."))

# clients before 0.185 lack much of what the other flows use and have one file of their own; those before 0.226 never open
# the event stream (contract, control plane §15.4) nor have what is new (toolbox §18)
if VERSION < (0, 185, 0):
    collect_ignore = [file.name for file in Path(__file__).parent.glob("test_*.py") if file.name != "test_oldest.py"]
elif VERSION < (0, 226, 0):
    collect_ignore = ["test_events.py", "test_additions.py", "test_oldest.py"]
else:
    collect_ignore = ["test_oldest.py"]


def pytest_report_header() -> str:
    return f"daytona {version('daytona')} against {os.environ['DAYTONA_API_URL']}"


def pytest_terminal_summary(terminalreporter) -> None:
    """What the suites count. Whatever is not a pass is a failure."""

    def count(*outcomes: str) -> int:
        return sum(len(terminalreporter.stats.get(outcome, [])) for outcome in outcomes)

    failed = count("failed", "error", "skipped", "xfailed", "xpassed")
    terminalreporter.write_line(f"\n{count('passed')} passed, {failed} failed")


@pytest.fixture(scope="session", params=["sync", "async"])
def connect(request):
    """Makes a client of this kind with another key, if one is given."""
    loop = Loop() if request.param == "async" else None
    opened = []

    def connect(api_key=None):
        config = DaytonaConfig(
            api_url=os.environ["DAYTONA_API_URL"], api_key=api_key or os.environ["DAYTONA_API_KEY"]
        )
        client = plain(loop.call(AsyncDaytona, config), loop) if loop else Daytona(config)
        opened.append(client)
        return client

    yield connect
    if loop:
        for client in opened:
            client.close()
        loop.close()


@pytest.fixture(scope="session")
def daytona(connect):
    return connect()


@pytest.fixture
def made(daytona):
    """Sandboxes that are gone after the test, the last one first: none is deleted while it has forks."""
    made = []
    yield made
    for sandbox in reversed(made):
        try:
            daytona.get(sandbox.id).delete()
        except DaytonaNotFoundError:
            pass


@pytest.fixture
def create(daytona, made):
    """Makes sandboxes that are gone after the test."""

    def create(**parameters):
        sandbox = daytona.create(CreateSandboxFromSnapshotParams(**parameters)) if parameters else daytona.create()
        made.append(sandbox)
        return sandbox

    return create


@pytest.fixture
def made_snapshots(daytona):
    """Names of snapshots that are gone after the test."""
    names = []
    yield names
    for name in names:
        try:
            daytona.snapshot.delete(daytona.snapshot.get(name))
        except DaytonaNotFoundError:
            pass


@pytest.fixture
def snapshot(daytona, made_snapshots):
    """Makes snapshots that are gone after the test."""

    def snapshot(name, image, **options):
        made_snapshots.append(name)
        return daytona.snapshot.create(CreateSnapshotParams(name=name, image=image, resources=SMALL), **options)

    return snapshot


@pytest.fixture
def create_of(daytona, made):
    """Makes sandboxes of images, gone after the test."""

    def create_of(image, **options):
        name = f"sdk-{uuid.uuid4().hex[:12]}"
        parameters = CreateSandboxFromImageParams(name=name, image=image, resources=SMALL)
        try:
            return daytona.create(parameters, timeout=300, **options)
        finally:
            # one whose build failed stays, too; one that was refused is not there
            with contextlib.suppress(DaytonaNotFoundError):
                made.append(daytona.get(name))

    return create_of


@pytest.fixture
def shows(daytona):
    """Checks what a sandbox shows, read anew and in the object by which it was changed: both within a while, since the newest
    client applies what an event from before the change tells whenever it arrives, and by that ends its waiting early."""

    def shows(sandbox, read, expected):
        deadline = time.monotonic() + 15
        while read(found := daytona.get(sandbox.id)) != expected:
            assert time.monotonic() < deadline, (read(found), expected)
            time.sleep(0.05)
        while read(sandbox) != expected:
            assert time.monotonic() < deadline, (read(sandbox), expected)
            sandbox.refresh_data()

    return shows


@pytest.fixture
def word():
    """A name that nothing else has."""
    return f"sdk-{uuid.uuid4().hex[:12]}"


@pytest.fixture(scope="session")
def sandbox(daytona):
    """One started Python sandbox for all flows that leave it as it was."""
    sandbox = daytona.create()
    yield sandbox
    sandbox.delete()


@pytest.fixture
def folder(sandbox, word):
    """A fresh directory, as a path relative to the work directory."""
    sandbox.fs.create_folder(word, "755")
    yield word
    sandbox.fs.delete_file(word, recursive=True)


@pytest.fixture
def read(sandbox):
    """What a command in the sandbox prints; it must succeed."""

    def read(command, **options):
        answer = sandbox.process.exec(command, **options)
        assert answer.exit_code == 0, answer.result
        return answer.result

    return read


@pytest.fixture(scope="session")
def git_server(sandbox):
    return Server(sandbox, 8418)


@pytest.fixture
def remote(git_server, word):
    """A repository of this test's own, on a server that asks for a password."""
    return git_server.repository(word)
