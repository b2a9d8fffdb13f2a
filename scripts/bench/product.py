"""A harbor of the bench's own: temporary data directory, free ports, nothing of the caller's settings."""
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from wire import Connection

START_LIMIT = 300  # seconds; a first start may have to make the default image
CREATE_LIMIT = 120
PORTS = ("HOST_PORT", "PROXY_HOST_PORT", "SSH_HOST_PORT", "REGISTRY_HOST_PORT", "MINIO_HOST_PORT")


class ProductError(Exception):
    """harbor did not do what it must."""


def free_ports(count):
    held = []
    while len(held) < count:
        four = socket.create_server(("127.0.0.1", 0))
        try:
            held.append((four, socket.create_server(("::1", four.getsockname()[1]), family=socket.AF_INET6)))
        except OSError:
            four.close()
    ports = [four.getsockname()[1] for four, _ in held]
    for four, six in held:
        four.close()
        six.close()
    return ports


class Harbor:
    def __init__(self, binary, directory, engine, stock, warm=0):
        self.binary, self.data, self.engine, self.stock = binary, Path(directory), engine, stock
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("HARBOR_", "DAYTONA_"))}
        ports = dict(zip(PORTS, free_ports(len(PORTS))))
        self.environment.update({f"HARBOR_DAYTONA_{name}": str(port) for name, port in ports.items()})
        self.environment.update({"HARBOR_DATA_DIR": str(self.data), "HARBOR_INFRA_STOCK": str(stock),
                                 "HARBOR_WARM_POOL_SIZE": str(warm)})
        self.address = ("127.0.0.1", ports["HOST_PORT"])
        self.proxy_address = ("127.0.0.1", ports["PROXY_HOST_PORT"])
        self.connection = Connection(self.address, CREATE_LIMIT)
        self.key = ""

    def command(self, *arguments):
        done = subprocess.run([self.binary, *arguments], env=self.environment, capture_output=True, text=True, timeout=START_LIMIT + 30)
        if done.returncode != 0:
            raise ProductError(f"harbor {' '.join(arguments)}: {done.stderr.strip()[-600:]}")
        return done.stdout

    def up(self):
        """Starts it; the seconds until `harbor up` had ended."""
        started = time.perf_counter()
        self.key = json.loads(self.command("up", "--json", "--wait", str(START_LIMIT)))["api_key"]
        return time.perf_counter() - started

    def down(self):
        self.connection.close()
        self.command("down")

    @property
    def pid(self):
        return int((self.data / "lock").read_text())

    @property
    def instance(self):
        return (self.data / "instance").read_text().strip()

    @property
    def authorization(self):
        return {"Authorization": f"Bearer {self.key}"}

    def api(self, method, path, body=None, connection=None):
        """A parsed answer of the API, None for an empty one; raises unless it is 2xx."""
        data = b"" if body is None else json.dumps(body).encode()
        headers = {**self.authorization, "Content-Type": "application/json"}
        answer = (connection or self.connection).request(method, "/api" + path, data, headers)
        if answer.status >= 300:
            raise ProductError(f"{method} {path}: {answer.status} {answer.body[:300].decode(errors='replace')}")
        return answer.json() if answer.body else None

    def create(self, connection=None):
        """A new sandbox of the default snapshot, as the API answers it once it is `started`."""
        sandbox = self.api("POST", "/sandbox", {}, connection)
        deadline = time.monotonic() + CREATE_LIMIT
        while sandbox["state"] != "started":
            if sandbox["state"] in ("error", "build_failed") or time.monotonic() > deadline:
                raise ProductError(f"sandbox {sandbox['id']} is {sandbox['state']}: {sandbox.get('errorReason')}")
            time.sleep(0.005)
            sandbox = self.api("GET", f"/sandbox/{sandbox['id']}", None, connection)
        return sandbox

    def run(self, connection, sandbox, command, limit=60):
        """What a command in a sandbox prints, run over a connection to the proxy; raises unless it succeeds."""
        data = json.dumps({"command": command, "timeout": limit}).encode()
        headers = {**self.authorization, "Content-Type": "application/json"}
        answer = connection.request("POST", f"/toolbox/{sandbox}/process/execute", data, headers)
        if answer.status != 200 or answer.json().get("exitCode") != 0:
            raise ProductError(f"{command}: {answer.status} {answer.body[:300]!r}")
        return answer.json()["result"]

    def containers(self, sandbox):
        """Ids of the sandbox's containers by their role, `sandbox` and `infra`."""
        found = self.engine.containers(f"harbor.instance={self.instance}", f"harbor.sandbox={sandbox}")
        return {container["Labels"]["harbor.role"]: container["Id"] for container in found}

    def delete(self, *sandboxes):
        """Deletes them and waits until nothing of them is left on the engine."""
        for sandbox in sandboxes:
            self.api("DELETE", f"/sandbox/{sandbox}")
        deadline = time.monotonic() + CREATE_LIMIT
        while any(c["Labels"]["harbor.sandbox"] in sandboxes for c in self._all()):
            if time.monotonic() > deadline:
                raise ProductError("deleted sandboxes are still on the engine")
            time.sleep(0.02)

    def wait_for_stock(self):
        """Until the stock of infra containers is full and running."""
        deadline = time.monotonic() + CREATE_LIMIT
        while True:
            containers = self._all()
            used = {c["Labels"]["harbor.sandbox"] for c in containers if c["Labels"]["harbor.role"] == "sandbox"}
            kept = [c for c in containers if c["Labels"]["harbor.sandbox"] not in used and c["State"] == "running"]
            if len(kept) >= self.stock:
                return
            if time.monotonic() > deadline:
                raise ProductError(f"only {len(kept)} of {self.stock} infra containers are in stock")
            time.sleep(0.02)

    def _all(self):
        return [c for c in self.engine.containers(f"harbor.instance={self.instance}") if "harbor.sandbox" in c["Labels"]]

    def log_position(self):
        return self._log.stat().st_size

    def log_since(self, position):
        """The events logged since `log_position` said so."""
        with self._log.open("rb") as log:
            log.seek(position)
            return [json.loads(line) for line in log.read().splitlines() if line.startswith(b"{")]

    @property
    def _log(self):
        return self.data / "logs/harbor.log"

    def _kill(self):
        """Ends a harbor that does not stop; none may be running."""
        try:
            if os.path.samefile(f"/proc/{self.pid}/exe", self.binary):
                os.kill(self.pid, signal.SIGKILL)
        except (OSError, ValueError):
            pass  # it had ended

    def remove(self):
        """Stops it and removes all that it made."""
        if not (self.data / "instance").exists():
            return
        try:
            self.down()
        except (ProductError, subprocess.TimeoutExpired):
            self._kill()
        self.engine.remove_instance(self.instance)
        shutil.rmtree(self.data, ignore_errors=True)
