"""The tormentor: one thread that kills harbor, at any moment or at a write to its journal, and meddles with containers.

It is the only one that starts harbor, so while it is held harbor runs and stays.
"""
import os
import signal
import subprocess
import threading
import time
import traceback
from pathlib import Path

from engine import EngineError
from model import MOVING
from operations import FAVOURITES
from wire import Connection, WireError

PAUSE = (0.2, 2.5)  # seconds between faults
TRAPPED = 12.0  # seconds until a trap that nothing has sprung is given up
# system calls on the write-ahead log: how many a start makes, and up to how many harbor is let make
JOURNAL = (("pwrite64", 40, 400), ("pwrite64", 40, 400), ("pwrite64", 40, 400), ("fsync", 8, 50))
# of the faults that hit harbor and those that hit a sandbox, as often as the numbers say
KINDS = {
    "harbor killed": 3, "harbor killed at its journal": 8, "harbor told to stop": 1,
    "process 1 killed": 3, "container killed": 2, "container removed": 2, "container stopped": 2, "container paused": 2, "container unpaused": 3,
    "container restarted": 2,
    "toolbox halted": 3, "network keeper killed": 1, "network keeper removed": 1,
}


class Tormentor(threading.Thread):
    def __init__(self, world, installation, engine, watcher, ledger, random, hold, stop, restart_engine=None):
        super().__init__(daemon=True, name="tormentor")
        self.world, self.installation, self.engine, self.watcher = world, installation, engine, watcher
        self.ledger, self.random = ledger, random
        self.hold, self.stop, self.restart_engine = hold, stop, restart_engine
        self.idle, self.resumptions = threading.Event(), []
        self.kinds = dict(KINDS, **({"engine restarted": 1} if restart_engine else {}))

    def run(self):
        while not self.stop.is_set():
            if self.hold.is_set():
                self.settle()
                self.idle.set()
                time.sleep(0.05)
                continue
            self.idle.clear()
            try:
                self.notice_end()
                self.one()
            except Exception:  # the driver's own fault, and it must show
                self.ledger.violation("driver", f"a fault failed: {traceback.format_exc(limit=-3)}")
                time.sleep(1)
            self.wait(self.random.uniform(*PAUSE))
        self.settle()
        self.idle.set()

    def wait(self, seconds):
        """Waits, unless it is to be quiet."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.hold.is_set() and not self.stop.is_set():
            self.resume(False)
            time.sleep(0.03)

    def settle(self):
        """Nothing is halted, and harbor runs without a trap."""
        self.resume(True)
        self.notice_end()
        if self.installation.tracer is not None:
            self.installation.kill()
        if not self.installation.alive():
            self.installation.start()

    def notice_end(self):
        """Whoever was not killed runs."""
        if self.installation.tracer is None and self.installation.died():
            self.ledger.violation("starts", f"harbor, process {self.installation.process}, ended by itself")
            self.installation.start()

    def one(self):
        kind = self.random.choices(list(self.kinds), list(self.kinds.values()))[0]
        if kind == "harbor killed":
            self.ledger.fault(kind)
            self.installation.kill()
            self.ledger.died(self.watcher.moving())
            self.wait(self.random.choice((0, 0.3, 1.5)))
            self.installation.start()
        elif kind == "harbor killed at its journal":
            self.journal()
        elif kind == "harbor told to stop":
            self.ledger.fault(kind)
            self.installation.up_now.clear()
            self.installation.down()
            self.installation.start()
        elif kind == "engine restarted":
            self.ledger.fault(kind)
            self.world.engine_away.set()
            subprocess.run(self.restart_engine, shell=True, check=True, timeout=120)
            for box in self.world.live():  # those that were made meanwhile, too
                box.disturb(kind)
            self.world.engine_away.clear()
        else:
            self.meddle(kind)

    def journal(self):
        """Kills it again and again, each time at another write, while the clients mostly do one thing."""
        self.world.favourite = self.random.choice(FAVOURITES)
        for _ in range(self.random.randint(1, 4)):
            call, starting, serving = self.random.choice(JOURNAL)
            count = self.random.randint(1, starting) if self.random.random() < 0.3 else self.random.randint(starting, serving)
            self.ledger.fault("harbor killed at its journal", f"{call} {count}, while clients {self.world.favourite or 'do anything'}")
            self.installation.kill()
            if self.installation.start((call, count)):
                end = time.monotonic() + TRAPPED
                while not self.installation.died() and time.monotonic() < end and not self.stop.is_set():
                    self.resume(False)
                    time.sleep(0.01)
                sprung = not self.installation.alive()
                self.ledger.note("the trap was sprung" if sprung else "the trap was not sprung")
                if sprung:
                    self.ledger.died(self.watcher.moving())
                else:
                    self.installation.kill()
            if self.hold.is_set() or self.stop.is_set():
                break
        self.world.favourite = None
        self.installation.end_tracer()
        self.installation.start()

    def meddle(self, kind):
        boxes = [box for box in self.world.live() if box.id]
        if not boxes:
            return
        backed_up = [box for box in boxes if box.stored]
        if kind == "container removed" and backed_up and self.random.random() < 0.5:
            boxes = backed_up  # so that what a recovery brings back is seen
        moving = [box for box in boxes if self.watcher.state(box.id) in MOVING]
        box = self.random.choice(moving if moving and self.random.random() < 0.4 else boxes)
        name = f"harbor-infra-{box.id}" if kind.startswith("network keeper") else f"harbor-{box.id}"
        with self.world.lock:
            for hit in [box] + [child for child in self.world.boxes.values() if child.parent is box]:
                hit.disturb(kind)
            if kind == "container removed":
                box.lose_container()
        try:
            done = self.hit(kind, name)
        except (EngineError, WireError, OSError) as problem:
            self.ledger.note(f"{kind} of {box.tag}: {problem}")
            done = False
        if kind == "container removed":
            with self.world.lock:
                box.lose_container()
        if done:
            self.ledger.fault(kind, f"{box.tag} ({box.id}), {box.state}")

    def hit(self, kind, name):
        """Whether there was something to hit."""
        def post(path):
            return self.engine.call("POST", f"/containers/{name}/{path}")

        if kind == "process 1 killed" and os.geteuid() == 0:
            pid = self.engine.inspect(name)["State"]["Pid"]
            if not pid:
                return False
            os.kill(pid, signal.SIGKILL)
        elif kind in ("process 1 killed", "container killed", "network keeper killed"):
            post("kill")
        elif kind in ("container removed", "network keeper removed"):
            self.engine.call("DELETE", f"/containers/{name}?force=1")
        elif kind == "container stopped":
            post("stop?t=1")
        elif kind == "container paused":
            identity = self.engine.inspect(name)["Id"]
            post("pause")
            self.thaw_if_hung(identity)
        elif kind == "container unpaused":
            post("unpause")
        elif kind == "container restarted":
            post("restart?t=1")
        else:
            post("kill?signal=STOP")
            self.resumptions.append((time.monotonic() + self.random.uniform(1, 5), name))
        return True

    def thaw_if_hung(self, identity):
        """Docker 20.10 answers nothing about a container any more that was frozen while an exec in it began, such as that
        with which harbor puts one to sleep. That is the engine's, and ends with the freeze."""
        connection = Connection(self.engine.socket, 5)
        try:
            connection.request("GET", f"{self.engine.prefix}/containers/{identity}/json")
        except TimeoutError:
            frozen = [*Path("/sys/fs/cgroup").glob(f"**/*{identity}*/freezer.state"), *Path("/sys/fs/cgroup").glob(f"**/*{identity}*/cgroup.freeze")]
            self.ledger.say(f"the engine hangs on {identity}, which is thawed by hand")
            for file in frozen:
                file.write_text("0" if file.name == "cgroup.freeze" else "THAWED")
        except (WireError, OSError) as problem:
            self.ledger.note(f"{identity} was not looked at: {problem}")
        finally:
            connection.close()

    def resume(self, all_of_them):
        """Lets toolboxes go on whose time is over."""
        for item in list(self.resumptions):
            if all_of_them or item[0] <= time.monotonic():
                self.resumptions.remove(item)
                try:
                    self.engine.call("POST", f"/containers/{item[1]}/kill?signal=CONT")
                except (EngineError, WireError, OSError) as problem:
                    self.ledger.note(f"{item[1]} is not resumed: {problem}")
