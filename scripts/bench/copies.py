"""Copies of a sandbox's files: snapshot, fork, archive and back, each beside the engine's own commit of the same container.

What was written is random, so that nothing is saved by compressing it. With containerd's image store, which compresses
what it commits, a copy is to take at most a tenth of a commit; the older stores only write it to the disk once more.
"""
import time

from report import Figure, Samples
from wire import Connection

SIZES = ((100, 10), (1000, 3))  # megabytes, and how often
POLL = 0.002
LIMIT = 300  # seconds that one copy may take
TARGETS = {"snapshot": 0.1, "fork": 0.1, "archive": 0.1}  # of a commit


def measure(setting):
    figures = []
    for megabytes, times in SIZES:
        if not (setting.quick and megabytes > 100):
            figures += compare(setting, megabytes, times)
    return figures


def compare(setting, megabytes, times):
    harbor, engine = setting.harbor, setting.engine.another()
    engine.connection.timeout = LIMIT
    targets = TARGETS if engine.call("GET", "/info")["Driver"] == "overlayfs" else {}
    sandbox = harbor.create()["id"]
    run(setting, sandbox, f"head -c {megabytes}M /dev/urandom >~/written; sync")
    container = harbor.containers(sandbox)["sandbox"]
    subjects = {"commit": lambda number: commit(engine, container),
                "snapshot": lambda number: snapshot(harbor, sandbox, f"bench-{megabytes}-{number}"),
                "fork": lambda number: fork(harbor, sandbox), "archive": lambda number: archive(harbor, sandbox),
                "restore": lambda number: restore(harbor, sandbox)}
    samples = {name: Samples() for name in subjects}
    for number in range(times):
        for name in ("commit", "snapshot", "fork"):
            samples[name].add(subjects[name](number))
        harbor.api("POST", f"/sandbox/{sandbox}/stop")
        reaches(harbor, sandbox, "stopped")
        for name in ("archive", "restore"):
            samples[name].add(subjects[name](number))
        container = harbor.containers(sandbox)["sandbox"]
    harbor.delete(sandbox)
    floor = samples.pop("commit")
    return [Figure(f"{name} with {megabytes} MB written", "ms", of_it, floor, targets.get(name), "ratio") for name, of_it in samples.items()]


def run(setting, sandbox, command):
    connection = Connection(setting.harbor.proxy_address, LIMIT)
    try:
        setting.harbor.run(connection, sandbox, command, LIMIT)
    finally:
        connection.close()


def timed(act):
    started = time.perf_counter()
    act()
    return (time.perf_counter() - started) * 1000


def reaches(harbor, sandbox, state):
    deadline = time.monotonic() + LIMIT
    while (found := harbor.api("GET", f"/sandbox/{sandbox}"))["state"] != state:
        if time.monotonic() > deadline or found["state"] == "error":
            raise RuntimeError(f"{found['state']}, not {state}: {found.get('errorReason')} {found.get('stopReason')}")
        time.sleep(POLL)


def commit(engine, container):
    """Milliseconds of the engine's commit, without freezing: harbor would take that for somebody's wish."""
    made = {}
    elapsed = timed(lambda: made.update(engine.call("POST", f"/commit?container={container}&repo=harbor-bench&tag=commit&pause=0")))
    engine.call("DELETE", f"/images/{made['Id']}?force=true")
    return elapsed


def snapshot(harbor, sandbox, name):
    def act():
        harbor.api("POST", f"/sandbox/{sandbox}/snapshot", {"name": name})
        reaches(harbor, sandbox, "started")
    elapsed = timed(act)
    harbor.api("DELETE", f"/snapshots/{name}")
    return elapsed


def fork(harbor, sandbox):
    """Until the fork is started."""
    made = {}

    def act():
        made.update(harbor.api("POST", f"/sandbox/{sandbox}/fork", {}))
        reaches(harbor, made["id"], "started")
    elapsed = timed(act)
    harbor.delete(made["id"])
    reaches(harbor, sandbox, "started")
    return elapsed


def archive(harbor, sandbox):
    def act():
        harbor.api("POST", f"/sandbox/{sandbox}/archive")
        reaches(harbor, sandbox, "archived")
    return timed(act)


def restore(harbor, sandbox):
    def act():
        harbor.api("POST", f"/sandbox/{sandbox}/start")
        reaches(harbor, sandbox, "started")
    return timed(act)
