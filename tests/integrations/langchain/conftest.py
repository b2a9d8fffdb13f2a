"""One sandbox for all tests, made by the official client, and langchain-daytona's backend on it."""

import os
import uuid
from importlib.metadata import version

import pytest
from daytona import Daytona, DaytonaConfig
from langchain_daytona import DaytonaSandbox


def pytest_report_header() -> str:
    packages = ("langchain-daytona", "deepagents", "daytona")
    return ", ".join(f"{name} {version(name)}" for name in packages) + f" against {os.environ['DAYTONA_API_URL']}"


def pytest_terminal_summary(terminalreporter) -> None:
    """What the suites count. Whatever is not a pass is a failure."""

    def count(*outcomes: str) -> int:
        return sum(len(terminalreporter.stats.get(outcome, [])) for outcome in outcomes)

    failed = count("failed", "error", "skipped", "xfailed", "xpassed")
    terminalreporter.write_line(f"\n{count('passed')} passed, {failed} failed")


@pytest.fixture(scope="session")
def sandbox():
    client = Daytona(DaytonaConfig(api_url=os.environ["DAYTONA_API_URL"], api_key=os.environ["DAYTONA_API_KEY"]))
    sandbox = client.create()
    yield sandbox
    sandbox.delete()


@pytest.fixture(scope="session")
def backend(sandbox):
    return DaytonaSandbox(sandbox=sandbox)


@pytest.fixture
def folder(sandbox):
    """A fresh directory, as an absolute path: the backend takes no others."""
    path = f"{sandbox.get_work_dir()}/{uuid.uuid4().hex[:12]}"
    sandbox.fs.create_folder(path, "755")
    yield path
    sandbox.fs.delete_file(path, recursive=True)


@pytest.fixture
def content(sandbox):
    """What a file holds, as the official client sees it."""
    return lambda path: sandbox.fs.download_file(path).decode()


@pytest.fixture(autouse=True)
def no_session_is_left(sandbox):
    """Each call of the backend is a session of its own, which it deletes."""
    yield
    assert sandbox.process.list_sessions() == []
