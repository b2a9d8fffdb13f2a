"""Work in a volume, beside the same work in the same directory on the machine.

A small Python program does both: many small files, and one large one that is written to the disk.
"""
import subprocess
import sys

from report import Figure, Samples
from wire import Connection

# Prints milliseconds of each kind of work in the directory that it is given.
PROGRAM = r"""
import os, shutil, sys, time
def small(at):
    for number in range(1000):
        with open(f"{at}/{number}", "w") as file: file.write("x" * 500)
        os.rename(f"{at}/{number}", f"{at}/{number}.renamed")
    for entry in list(os.scandir(at)):
        with open(entry.path) as file: file.read()
        os.unlink(entry.path)
def large(at):
    block = b"x" * (1 << 20)
    with open(f"{at}/large", "wb") as file:
        for _ in range(64): file.write(block)
        os.fsync(file.fileno())
    with open(f"{at}/large", "rb") as file:
        while file.read(1 << 20): pass
    os.unlink(f"{at}/large")
at = sys.argv[1]
os.makedirs(at)
for work in (small, large):
    started = time.perf_counter()
    work(at)
    print((time.perf_counter() - started) * 1e3)
shutil.rmtree(at)
"""
NAMES = ("1,000 small files in a volume", "64 MB in a volume")
SLOWER = 1.05  # a rate of 0.95


def measure(setting):
    harbor = setting.harbor
    volume = harbor.api("POST", "/volumes", {"name": ""})["id"]
    mount = {"volumeId": volume, "mountPath": "/mnt/volume"}
    sandbox = harbor.api("POST", "/sandbox", {"volumes": [mount]})["id"]
    beside = harbor.data / "volumes" / volume
    connection = Connection(harbor.proxy_address, 120)
    inside, outside = [Samples() for _ in NAMES], [Samples() for _ in NAMES]
    try:
        program = f"cat >/tmp/work.py <<'END'\n{PROGRAM}\nEND"
        harbor.run(connection, sandbox, program)
        for turn in range(setting.times() + 1):
            there = harbor.run(connection, sandbox, f"python3 /tmp/work.py /mnt/volume/in-{turn}", 120)
            here = subprocess.run([sys.executable, "-c", PROGRAM, str(beside / f"out-{turn}")], capture_output=True, text=True, check=True)
            if turn > 0:  # the first of each is not counted
                for samples, text in ((inside, there), (outside, here.stdout)):
                    for of_one, line in zip(samples, text.splitlines(), strict=True):
                        of_one.add(float(line))
    finally:
        connection.close()
        harbor.delete(sandbox)
        harbor.api("DELETE", f"/volumes/{volume}")
    return [Figure(name, "ms", of_it, floor, SLOWER, "ratio") for name, of_it, floor in zip(NAMES, inside, outside, strict=True)]
