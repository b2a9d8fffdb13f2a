"""The harbor under attack: it is started, killed and started again, with or without a trap at its journal.

A trap is strace, which lets harbor die as it enters its N-th write to, or flush of, SQLite's write-ahead log. strace delivers
the signal only where it stops at every system call, so without its filter in the kernel (--seccomp-bpf).
Only one thread may start and kill.
"""
import json
import os
import shutil
import signal
import subprocess
import threading
import time

from product import Harbor

START_LIMIT = 90  # seconds until a start must be over


class Installation(Harbor):
    def __init__(self, binary, directory, engine, ledger):
        super().__init__(binary, directory, engine, stock=2, warm=0)
        self.ledger, self.up_now, self.starts, self.process, self.tracer = ledger, threading.Event(), 0, 0, None

    @staticmethod
    def missing_tool():
        """What a trap needs and this machine lacks."""
        return None if shutil.which("strace") else "strace is needed for kills at journal points: install the package strace"

    def alive(self):
        """Whether the process that was started last runs."""
        try:
            with open(f"/proc/{self.process}/stat", encoding="utf-8") as status:
                return status.read().rsplit(")", 1)[1].split()[0] not in ("Z", "X")
        except (FileNotFoundError, ProcessLookupError):
            return False

    def survived(self, starts):
        """Whether harbor has run all the time since `starts` was read; one that is dying gets a moment to be dead."""
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            if self.starts != starts or not self.up_now.is_set() or not self.alive():
                return False
            time.sleep(0.05)
        return True

    def start(self, trap=None):
        """Starts it, and answers whether it is ready. `trap` is a system call and how often it may be made; with one it may
        die on the way."""
        self.end_tracer()
        command = [self.binary, "up", "--json", "--wait", str(START_LIMIT)]
        if trap:
            call, count = trap
            command = ["strace", "-f", "-o", os.devnull, "-P", str(self.data / "harbor.db-wal"), "-e", "trace=pwrite64,fsync,fdatasync",
                       "-e", f"inject={call}:signal=SIGKILL:when={count}", *command]
        printed, complained = self.data.parent / "up.json", self.data.parent / "up.error"
        with open(printed, "w") as out, open(complained, "w") as error:
            starting = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=error, start_new_session=True)
        if trap:
            self.tracer = starting
        deadline = time.monotonic() + START_LIMIT + 10
        while (said := self._said(printed)) is None and starting.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        said = said or self._said(printed)
        self.ledger.restarts += 1
        if said is None:
            if trap:
                self.ledger.note("it died on the way")
            else:
                starting.poll()
                self.ledger.violation("starts", f"harbor up failed ({starting.returncode}): {complained.read_text().strip()[-400:]}")
            return False
        if not trap:
            starting.wait(10)
        self.key, self.process = said["api_key"], self.pid
        if said.get("problem") and not trap:
            self.ledger.violation("starts", f"harbor up is ready with a problem: {said['problem']}")
        self.starts += 1
        self.up_now.set()
        self.ledger.note(f"harbor is process {self.process}, start {self.starts}")
        return True

    @staticmethod
    def _said(path):
        try:
            return json.loads(path.read_text())
        except ValueError:
            return None

    def kill(self):
        """kill -9, and waits until it is dead."""
        self.up_now.clear()
        if self.alive():
            os.kill(self.process, signal.SIGKILL)
        while self.alive():
            time.sleep(0.01)
        self.end_tracer()

    def died(self):
        """Whether it has died of a trap; notes it."""
        if self.alive():
            return False
        self.up_now.clear()
        return True

    def end_tracer(self):
        if self.tracer is None:
            return
        try:
            self.tracer.wait(10)
        except subprocess.TimeoutExpired:
            self.tracer.kill()
            self.tracer.wait()
        self.tracer = None

    def panics(self):
        """Lines of its log that tell of a panic."""
        found = []
        for path in (self.data / "logs").glob("harbor.log*"):
            with open(path, errors="replace") as log:
                found += [line[:300] for line in log if "a task panicked" in line]
        return found

    def doctor(self):
        """What `harbor doctor` found that does not work."""
        done = subprocess.run([self.binary, "doctor", "--json"], env=self.environment, capture_output=True, text=True, timeout=60)
        found = json.loads(done.stdout)
        return [f"{c['check']}: {c['found']}" for c in found["checks"] if c["verdict"] == "failed" or (c["check"] == "orphans" and c["verdict"] != "ok")]
