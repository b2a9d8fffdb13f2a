"""Images of one's own: a build that nothing has changed in, and creation from a warm pool of a built snapshot.

Floors: `docker build` of the same Dockerfile, all of it in the engine's cache; creation from the pool of the default snapshot.
"""
import subprocess
import time

from report import Figure, Samples
from warm import wait_until_full

BASE = "daytonaio/sandbox:v0.185.0-amd64"
DOCKERFILE = f"FROM {BASE}\nRUN echo bench >/tmp/bench\nENV BENCH=1\n"
REBUILD = 200  # ms


def measure(setting):
    images = []
    try:
        with setting.running_harbor("images", 2, 1) as harbor:
            kept = snapshot(harbor, "kept")
            images += [kept["ref"], tag(harbor)]
            while kept["state"] != "active":
                time.sleep(0.1)
                kept = harbor.api("GET", f"/snapshots/{kept['id']}")
            return [rebuild(setting, harbor), warm(setting, harbor, kept)]
    finally:
        # nothing of that harbor needs them any more
        subprocess.run(["docker", "rmi", *images], capture_output=True)


def snapshot(harbor, name):
    return harbor.api("POST", "/snapshots", {"name": name, "buildInfo": {"dockerfileContent": DOCKERFILE}})


def tag(harbor):
    return f"harbor-bench:{harbor.instance}"


def rebuild(setting, harbor):
    ours, floor = Samples(), Samples()
    for turn in range(setting.times() + 1):
        started = time.perf_counter()
        made = snapshot(harbor, f"again-{turn}")
        took = time.perf_counter() - started
        assert made["state"] == "active", made
        harbor.api("DELETE", f"/snapshots/{made['id']}")
        started = time.perf_counter()
        command = ["docker", "build", "--quiet", "--tag", tag(harbor), "-"]
        subprocess.run(command, input=DOCKERFILE, text=True, check=True, capture_output=True)
        if turn > 0:  # the first of each is not counted
            ours.add(took * 1000)
            floor.add((time.perf_counter() - started) * 1000)
    return Figure("an unchanged Dockerfile, to an active snapshot", "ms", ours, floor, REBUILD)


def warm(setting, harbor, kept):
    ours, floor = Samples(), Samples()
    harbor.api("POST", "/warm-pools", {"snapshot": kept["name"], "pool": 1})
    for turn in range(setting.times() + 1):
        for samples, body in ((ours, {"snapshot": kept["name"]}), (floor, {})):
            wait_until_full(harbor)
            started = time.perf_counter()
            made = harbor.api("POST", "/sandbox", body)
            took = (time.perf_counter() - started) * 1000
            assert made["state"] == "started", made
            harbor.delete(made["id"])
            if turn > 0:
                samples.add(took)
    return Figure("create from a warm pool of a built snapshot", "ms", ours, floor, 1.1, "ratio")
