"""What every figure needs: the engine, the harbor under test, plain containers to compare with, and how often to measure."""
import contextlib
import io
import tarfile
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

from engine import Engine
from product import Harbor
from wire import Connection, WireError

REPOSITORY = Path(__file__).resolve().parents[2]
IMAGE = "daytonaio/sandbox:v0.185.0-amd64"
TOOLBOX = "/opt/harbor/current/harbor-toolbox"
INFRA = "/opt/harbor/current/harbor-infra"
PORT = 2280


@dataclass
class Setting:
    engine: Engine
    binary: str
    scratch: Path
    quick: bool
    harbor: Harbor
    details: dict = field(default_factory=dict)
    sandboxes: list = field(default_factory=list)
    notes: list = field(default_factory=list)  # lines to print under the table

    def times(self, full=40, quick=10):
        return quick if self.quick else full

    def another_harbor(self, name, stock, warm=0):
        return Harbor(self.binary, self.scratch / name, self.engine, stock, warm)

    @contextlib.contextmanager
    def running_harbor(self, name, stock, warm=0):
        """Another harbor, which is removed with all it made afterwards."""
        harbor = self.another_harbor(name, stock, warm)
        try:
            harbor.up()
            yield harbor
        finally:
            harbor.remove()

    def sandbox(self):
        """One of the sandboxes that are there for the whole run."""
        if not self.sandboxes:
            self.keep_sandboxes(1)
        return self.sandboxes[0]

    def keep_sandboxes(self, count):
        while len(self.sandboxes) < count:
            self.sandboxes.append(self.harbor.create()["id"])

    def delivered(self, path):
        """A copy of one of harbor's own binaries, as it lies in a sandbox."""
        copy = self.scratch / "opt/current" / Path(path).name
        if not copy.exists():
            container = self.harbor.containers(self.sandbox())["sandbox"]
            real = self._real_directory(container) + "/" + Path(path).name
            with tarfile.open(fileobj=io.BytesIO(self.engine.file(container, real))) as archive:
                data = archive.extractfile(archive.getmembers()[0]).read()
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.parent.chmod(0o755)
            copy.parent.parent.chmod(0o755)
            copy.write_bytes(data)
            copy.chmod(0o755)
        return copy

    def _real_directory(self, container):
        """`current` is a link; the engine's archive call gives the link itself."""
        with tarfile.open(fileobj=io.BytesIO(self.engine.file(container, "/opt/harbor/current"))) as archive:
            first = archive.getmembers()[0]
        return f"/opt/harbor/{first.linkname}" if first.issym() else "/opt/harbor/current"

    def plain_container(self, host=None, engine=None, network="bridge"):
        """Makes and starts what a sandbox is compared with: the same image on the engine's own bridge (or another
        network) with nothing but a toolbox in it, for it answers HTTP at once. Returns id and address."""
        binary = self.delivered(TOOLBOX)
        mount = {"Type": "bind", "Source": str(binary.parent.parent), "Target": "/opt/harbor", "ReadOnly": True}
        engine = engine or self.engine
        container = engine.create(IMAGE, {"NetworkMode": network, "Mounts": [mount], **(host or {})},
                                  Entrypoint=[TOOLBOX, "--listen", f"0.0.0.0:{PORT}"], Cmd=[])
        engine.start(container)
        [joined] = engine.inspect(container)["NetworkSettings"]["Networks"].values()
        return container, (joined["IPAddress"], PORT)


def first_answer(address, limit=20.0):
    """Until something answers HTTP there; returns the open connection."""
    deadline = time.monotonic() + limit
    while True:
        connection = Connection(address)
        try:
            connection.request("GET", "/version")
            return connection
        except (OSError, WireError):
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.001)


def scratch_directory():
    return tempfile.TemporaryDirectory(prefix="harbor-bench.")
