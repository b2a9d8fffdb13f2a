"""Running a command through the proxy, against the same call sent straight to a toolbox in the same image."""
import json

from report import Figure, Samples
from setting import first_answer
from wire import Connection

TOKEN = "bench"
LIMITS = ("NanoCpus", "CpuQuota", "CpuPeriod", "Memory", "MemorySwap", "PidsLimit")


class Direct:
    """A configured toolbox without harbor, in a container with a sandbox's limits and what `host` adds to them."""

    def __init__(self, setting, host=None):
        self.engine = setting.engine
        theirs = setting.engine.inspect(setting.harbor.containers(setting.sandbox())["sandbox"])["HostConfig"]
        limits = {name: theirs[name] for name in LIMITS if theirs.get(name)}
        self.container, self.address = setting.plain_container(limits | (host or {}))
        self.connection = first_answer(self.address)
        configure = {"protocol": 1, "sandbox": "00000000-0000-4000-8000-000000000000", "token": TOKEN, "entrypoint": ["sleep", "infinity"]}
        answer = self.connection.request("POST", "/.harbor/configure", json.dumps(configure).encode())
        if answer.status != 200:
            raise RuntimeError(f"the toolbox refused configure: {answer.body!r}")
        self.headers = {"x-harbor-token": TOKEN}

    def close(self):
        self.connection.close()
        self.engine.remove(self.container)


class Through:
    """The same, by harbor's proxy."""

    def __init__(self, setting):
        self.connection = Connection(setting.harbor.proxy_address)
        self.prefix = f"/toolbox/{setting.sandbox()}"
        self.headers = setting.harbor.authorization


def measure(setting):
    direct = Direct(setting)
    try:
        through = Through(setting)
        execute = compare(setting, direct, through, "POST", "/process/execute", {"command": "true"}, succeeded)
        version = compare(setting, direct, through, "GET", "/version", None, lambda answer: answer.status == 200)
    finally:
        direct.close()
    added = execute[0].median - execute[1].median, version[0].median - version[1].median
    setting.notes.append(f"exec: the proxy adds {added[0]:.2f} ms to a command and {added[1]:.2f} ms to GET /version")
    return [Figure("exec `true` through the proxy", "ms", *execute, 1.5, "ratio"),
            Figure("exec `true` through the proxy, p95", "ms", Samples([execute[0].quantile(0.95)]), Samples([execute[1].quantile(0.95)]), 4),
            Figure("GET /version through the proxy", "ms", *version)]


def compare(setting, direct, through, method, path, body, is_right):
    data = b"" if body is None else json.dumps(body).encode()
    kind = {"Content-Type": "application/json"} if data else {}
    requests = [(through.connection, through.connection.prepare(method, through.prefix + path, data, through.headers | kind)),
                (direct.connection, direct.connection.prepare(method, path, data, direct.headers | kind))]
    samples = (Samples(), Samples())
    for turn in range(setting.times(400, 60)):
        for (connection, request), kept in zip(requests, samples):
            answer = connection.exchange(request)
            if not is_right(answer):
                raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
            if turn >= 10:
                kept.add(answer.seconds * 1000)
    return samples


def succeeded(answer):
    return answer.status == 200 and answer.json().get("exitCode") == 0
