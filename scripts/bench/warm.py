"""Creation from a warm pool: the create by itself, and the official Python SDK's create with a first command.

Floors: a plain container's start for the create, one command of the same SDK for create and command together.
"""
import json
import re
import subprocess
import time

from create import plain
from report import Figure, Samples
from setting import REPOSITORY

POOL = 2
SDK = "0.226.1"
PATIENCE = 60  # seconds until the pool is full again

# Prints milliseconds of create and first command, and of a second command, as JSON. A line of input lets it go on.
PROGRAM = """
import json, sys, time
from daytona import Daytona
daytona = Daytona()
for line in sys.stdin:
    started = time.perf_counter()
    sandbox = daytona.create()
    made = time.perf_counter()
    assert sandbox.process.exec("echo ready").result == "ready\\n"
    used = time.perf_counter()
    sandbox.process.exec("echo ready")
    again = time.perf_counter()
    sandbox.delete()
    print(json.dumps([(made - started) * 1e3, (used - started) * 1e3, (again - used) * 1e3]), flush=True)
"""


def measure(setting):
    with setting.running_harbor("warm", 2, POOL) as harbor:
        return compare(setting, harbor)


def compare(setting, harbor):
    create, floor = Samples(), Samples()
    sdk_create, sdk_both, sdk_command = Samples(), Samples(), Samples()
    with client(setting, harbor) as process:
        for turn in range(setting.times() + 1):
            wait_until_full(harbor)
            started = time.perf_counter()
            made = harbor.api("POST", "/sandbox", {})
            took = (time.perf_counter() - started) * 1000
            assert made["state"] == "started", made
            harbor.delete(made["id"])
            wait_until_full(harbor)
            process.stdin.write("\n")
            process.stdin.flush()
            made, both, command = json.loads(process.stdout.readline())
            plainly = plain(setting, "bridge")
            if turn > 0:  # the first of each is not counted
                create.add(took)
                floor.add(plainly)
                for samples, value in ((sdk_create, made), (sdk_both, both), (sdk_command, command)):
                    samples.add(value)
        process.stdin.close()
    return [Figure("create from a warm pool", "ms", create, floor, 0.05, "ratio"),
            Figure("create from a warm pool, p95", "ms", Samples([create.quantile(0.95)]), None, 5),
            Figure("Python SDK: create, warm", "ms", sdk_create),
            Figure("Python SDK: create and first command, warm", "ms", sdk_both, sdk_command, 15),
            Figure("Python SDK: create and first command, p99", "ms", Samples([sdk_both.quantile(0.99)]), None, 60)]


def wait_until_full(harbor):
    deadline = time.monotonic() + PATIENCE
    while True:
        [pools] = [loop for loop in harbor.api("GET", "/harbor/loops") if loop["name"] == "warm pools"]
        ready = re.match(r"(\d+) of (\d+) ready", (pools["last"] or {}).get("outcome", ""))
        if ready and ready[1] == ready[2] and not pools["underWay"]:
            time.sleep(0.3)  # the engine comes to rest
            return
        if time.monotonic() > deadline:
            raise RuntimeError(f"the warm pool is not full: {pools}")
        time.sleep(0.05)


def client(setting, harbor):
    python = subprocess.run([REPOSITORY / "tests/sdk/python/run", "--python", SDK], capture_output=True, text=True, check=True)
    environment = {"DAYTONA_API_URL": f"http://localhost:{harbor.address[1]}/api", "DAYTONA_API_KEY": harbor.key, "PATH": "/usr/bin:/bin"}
    return subprocess.Popen([python.stdout.strip(), "-c", PROGRAM], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
