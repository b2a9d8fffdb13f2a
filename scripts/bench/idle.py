"""What harbor itself costs with 50 sandboxes that are started and idle. Floor: another harbor with none, at the same time.

For a minute, as once a minute harbor compares all rows with the engine.
"""
import time

import processes
from report import Figure, Samples

COUNT = 50
REST = 5  # seconds for the engine and both harbors to come to rest


def measure(setting):
    full, empty = setting.another_harbor("full", 2), setting.another_harbor("empty", 2)
    try:
        for harbor in (full, empty):
            harbor.up()
        for _ in range(COUNT):
            full.create()
        for harbor in (full, empty):
            harbor.wait_for_stock()
        time.sleep(REST)
        figures = compare(setting, full, empty)
        started = [sandbox for sandbox in full.api("GET", "/sandbox?limit=200")["items"] if sandbox["state"] == "started"]
        if len(started) != COUNT:
            raise RuntimeError(f"{len(started)} of {COUNT} sandboxes are started")
        return figures
    finally:
        full.remove()
        empty.remove()


def compare(setting, full, empty):
    seconds = 10 if setting.quick else 60
    pids = full.pid, empty.pid
    before = [processes.cpu_seconds(pid) for pid in pids]
    time.sleep(seconds)
    cpu = [Samples([(processes.cpu_seconds(pid) - start) / seconds * 100]) for pid, start in zip(pids, before)]
    memory = [Samples([processes.status(pid, "VmRSS") / 1e6]) for pid in pids]
    note = f"over {seconds} s"
    return [Figure(f"harbor idle, processor, {COUNT} sandboxes", "%", *cpu, 1, note=note),
            Figure(f"harbor idle, resident, {COUNT} sandboxes", "MB", *memory, 60, note=note)]
