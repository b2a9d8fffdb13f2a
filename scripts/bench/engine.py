"""The Docker engine, by its own API over its unix socket: the floors are made with it, and what harbor made is looked up.

Guarantees: everything made here carries `harbor.test=1` and this run's own label, and `remove_all` removes it.
"""
import json
import os
import time
import urllib.parse

from wire import Connection

SETTLED = 30  # seconds until the engine has come to rest


class EngineError(Exception):
    """The engine refused."""


class Engine:
    def __init__(self):
        address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
        if not address.startswith("unix://"):
            raise EngineError(f"the bench needs an engine on this machine, and DOCKER_HOST is {address}")
        self.socket = address.removeprefix("unix://")
        self.connection = Connection(self.socket)
        self.run = f"{os.getpid()}"
        self.made = 0
        self.prefix = ""
        self.prefix = "/v" + self.call("GET", "/version")["ApiVersion"]

    def another(self):
        """The same engine over a connection of its own, for another thread."""
        other = object.__new__(Engine)
        other.__dict__.update(self.__dict__)
        other.connection = Connection(self.socket)
        return other

    def call(self, method, path, body=None, missing_is_fine=False):
        data = b"" if body is None else json.dumps(body).encode()
        answer = self.connection.request(method, self.prefix + path, data, {"Content-Type": "application/json"} if data else None)
        if missing_is_fine and answer.status in (404, 409):
            return None
        if answer.status >= 300 and answer.status != 304:
            raise EngineError(f"{method} {path}: {answer.status} {answer.body[:300].decode(errors='replace')}")
        return answer.json()

    def create(self, image, host, name=None, **config):
        """Makes a container and returns its id."""
        self.made += 1
        name = name or f"harbor-bench-{self.run}-{self.made}"
        labels = {"harbor.test": "1", "harbor.bench": self.run}
        return self.call("POST", f"/containers/create?name={name}", {"Image": image, "Labels": labels, **config, "HostConfig": host})["Id"]

    def network(self, **options):
        """Makes a bridge network and returns its id."""
        labels = {"harbor.test": "1", "harbor.bench": self.run}
        return self.call("POST", "/networks/create", {"Name": f"harbor-bench-{self.run}", "Driver": "bridge", "Labels": labels, "Options": options})["Id"]

    def start(self, container):
        self.call("POST", f"/containers/{container}/start")

    def inspect(self, container):
        return self.call("GET", f"/containers/{container}/json")

    def remove(self, container):
        self.call("DELETE", f"/containers/{container}?force=1&v=1", missing_is_fine=True)

    def containers(self, *labels):
        """All containers with these labels, running or not."""
        filters = urllib.parse.quote(json.dumps({"label": list(labels)}))
        return self.call("GET", f"/containers/json?all=1&filters={filters}")

    def file(self, container, path):
        """A tar archive of a file in a container."""
        answer = self.connection.request("GET", f"{self.prefix}/containers/{container}/archive?path={urllib.parse.quote(path)}")
        if answer.status != 200:
            raise EngineError(f"{path} in {container}: {answer.status} {answer.body[:300].decode(errors='replace')}")
        return answer.body

    def remove_all(self):
        """Removes what this run made."""
        self._remove_labelled(f"harbor.bench={self.run}")

    def remove_instance(self, instance):
        """Removes what the harbor with this instance id made, which was just killed: the engine may still be making
        something of it."""
        deadline = time.monotonic() + SETTLED
        while True:
            try:
                return self._remove_labelled(f"harbor.instance={instance}")
            except EngineError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def _remove_labelled(self, label):
        # a sandbox is bound to its infra container: sandboxes first
        for container in sorted(self.containers(label), key=lambda c: c["Labels"].get("harbor.role") == "infra"):
            self.remove(container["Id"])
        filters = urllib.parse.quote(json.dumps({"label": [label]}))
        for volume in self.call("GET", f"/volumes?filters={filters}")["Volumes"] or []:
            self.call("DELETE", f"/volumes/{volume['Name']}?force=1", missing_is_fine=True)
        for network in self.call("GET", f"/networks?filters={filters}"):
            self.call("DELETE", f"/networks/{network['Id']}", missing_is_fine=True)
