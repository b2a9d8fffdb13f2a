"""The toolbox by itself, directly: commands, many at once, much output, what it keeps, terminals, files, git.

Floors run in the same container by the same user: `inside.py`, or the image's own tools started by the toolbox.
"""
import json
import selectors
import shutil
import socket
import time
import uuid
from pathlib import Path

import processes
from execute import Direct, Through, succeeded
from report import Figure, Samples
from setting import PORT
from websocket import BINARY, WebSocket
from wire import Connection

FLOOR_PORT = PORT + 1
TOGETHER = 32
MB = 1_000_000
SIZE = 100 * MB
FILES = 100_000
PLACE = "/bench"  # in memory: a container with so many files on disk takes a minute to remove
TREE, REPOSITORY, LARGE = f"{PLACE}/tree", f"{PLACE}/repository", "/tmp/bench-large"


def measure(setting):
    shutil.copy(Path(__file__).with_name("inside.py"), setting.delivered("harbor-toolbox").parent.parent / "inside.py")
    direct = Direct(setting, {"Tmpfs": {PLACE: "size=1g,mode=1777"}})
    try:
        bench = Bench(setting, direct)
        return [bench.commands(), bench.together(), *bench.sequence(), *bench.output(), *bench.terminal(), bench.download(),
                bench.find(), bench.clone()]
    finally:
        direct.close()


class Bench:
    def __init__(self, setting, direct):
        self.setting, self.direct = setting, direct
        direct.connection.timeout = 300
        direct.connection.close()
        self.pid = setting.engine.inspect(direct.container)["State"]["Pid"]
        self.shell = self.run("readlink /proc/$$/exe").strip()
        self.run(f"nohup python3 /opt/harbor/inside.py {FLOOR_PORT} >/tmp/bench-inside.log 2>&1 &")
        self.floor_address = (direct.address[0], FLOOR_PORT)
        self.floor = self._floor_connection().makefile("rw")

    def _floor_connection(self):
        deadline = time.monotonic() + 20
        while True:
            try:
                connection = socket.create_connection(self.floor_address, 60)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connection
            except OSError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def call(self, method, path, body=None, keep=True):
        """An answer; raises unless it is a success."""
        data = b"" if body is None else json.dumps(body).encode()
        kind = {"Content-Type": "application/json"} if data else {}
        answer = self.direct.connection.request(method, path, data, self.direct.headers | kind, keep)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.body[:300]!r}")
        return answer

    def run(self, command):
        """A command's output; raises when it fails."""
        answer = self.call("POST", "/process/execute", {"command": command, "timeout": 300})
        if not succeeded(answer):
            raise RuntimeError(f"{command}: {answer.body[:300]!r}")
        return answer.json()["result"]

    def commands(self):
        """`true` by an open connection, against starting the same shell with it."""
        product, floor = Samples(), Samples()
        request = self._execute_request()
        for turn in range(self.setting.times(400, 60)):
            answer = self.direct.connection.exchange(request)
            if not succeeded(answer):
                raise RuntimeError(f"execute: {answer.body!r}")
            self.floor.write(f"spawn {self.shell}\n")
            self.floor.flush()
            seconds = float(self.floor.readline())
            if turn >= 10:
                product.add(answer.seconds * 1000)
                floor.add(seconds * 1000)
        return Figure("toolbox: exec `true`", "ms", product, floor, 1.3, "ratio", note=f"{self.shell} -c true")

    def _execute_request(self):
        kind = {"Content-Type": "application/json"}
        return self.direct.connection.prepare("POST", "/process/execute", b'{"command": "true"}', self.direct.headers | kind)

    def together(self):
        """Each connection sends its next command when the last one was answered."""
        request, waiting, samples = self._execute_request(), selectors.DefaultSelector(), Samples()
        sent = {}
        for _ in range(TOGETHER):
            connection = Connection(self.direct.address)
            connection.open()
            waiting.register(connection.socket, selectors.EVENT_READ, connection)
        for key in list(waiting.get_map().values()):
            sent[key.data] = time.perf_counter()
            key.data.socket.sendall(request)
        left = self.setting.times(3200, 640)
        while left > 0:
            for key, _ in waiting.select(60):
                answer = key.data._read(True, sent[key.data])  # an answer this small comes in one piece
                if not succeeded(answer):
                    raise RuntimeError(f"execute: {answer.body!r}")
                samples.add((time.perf_counter() - sent[key.data]) * 1000)
                left -= 1
                sent[key.data] = time.perf_counter()
                key.data.socket.sendall(request)
        for key in list(waiting.get_map().values()):
            key.data.close()
        worst = Samples([samples.quantile(0.99)])
        return Figure(f"toolbox: {TOGETHER} at once, p99 to p50", "ms", worst, Samples([samples.median]), 4, "ratio")

    def _held(self):
        """Resident bytes, open files and threads."""
        status = f"/proc/{self.pid}"
        return (processes.status(self.pid, "VmRSS"), len(list(Path(status, "fd").iterdir())), len(list(Path(status, "task").iterdir())))

    def sequence(self):
        """What 1,000 commands leave behind, after 200 that warmed it up."""
        request = self._execute_request()
        for turn in range(1200):
            if turn == 200:
                before = self._held()
            if not succeeded(self.direct.connection.exchange(request)):
                raise RuntimeError("execute failed")
        after = self._held()
        names = (("resident", "MB", 1e6, 1), ("open files", "count", 1, 0), ("threads", "count", 1, 0))
        return [Figure(f"toolbox: growth in 1,000 commands, {name}", unit, Samples([max(0, (b - a) / scale)]), target=target)
                for (name, unit, scale, target), a, b in zip(names, before, after)]

    def output(self):
        """100 MB written by a session's command, then followed to its end."""
        session = f"bench-{uuid.uuid4()}"
        self.call("POST", "/process/session", {"sessionId": session})
        before = processes.status(self.pid, "VmRSS")
        processes.forget_peak(self.pid)
        command = {"command": f"yes 0123456789abcdef0123456789abcdef | head -c {SIZE}", "runAsync": True}
        command = self.call("POST", f"/process/session/{session}/exec", command).json()["cmdId"]
        path = f"/process/session/{session}/command/{command}/logs?follow=true"
        started, received = time.perf_counter(), 0
        follower = WebSocket(self.direct.address, path, self.direct.headers, 120)
        try:
            while received < SIZE:
                received += len(follower.receive()[1])
        finally:
            follower.close()
        rate = received / MB / (time.perf_counter() - started)
        growth = max(0, processes.status(self.pid, "VmHWM") - before) / MB
        self.call("DELETE", f"/process/session/{session}")
        return [Figure("toolbox: 100 MB of output followed", "MB/s", Samples([rate])),
                Figure("toolbox: growth meanwhile", "MB", Samples([growth]), target=8)]

    def terminal(self):
        """From a key press to its echo by `cat` in a terminal, through the proxy and directly."""
        through = Through(self.setting)
        sides = [(self.setting.harbor.proxy_address, through.prefix, through.headers, Samples()),
                 (self.direct.address, "", self.direct.headers, Samples())]
        for address, prefix, headers, samples in sides:
            name = f"bench-{uuid.uuid4()}"
            connection, kind = Connection(address), {"Content-Type": "application/json"}
            made = connection.request("POST", f"{prefix}/process/pty", json.dumps({"id": name, "cols": 80, "rows": 24}).encode(), headers | kind)
            if made.status != 201:
                raise RuntimeError(f"pty: {made.status} {made.body!r}")
            self._press(WebSocket(address, f"{prefix}/process/pty/{name}/connect", headers), samples)
            connection.request("DELETE", f"{prefix}/process/pty/{name}", b"", headers)
            connection.close()
        product, floor = sides[0][3], sides[1][3]
        return [Figure("terminal: key echo through the proxy", "ms", product, floor),
                Figure("terminal: key echo through the proxy, p99", "ms", Samples([product.quantile(0.99)]), Samples([floor.quantile(0.99)]), 5)]

    def _press(self, terminal, samples):
        terminal.send(b"stty raw -echo; echo rea''dy; exec cat\r")
        seen = b""
        while b"ready" not in seen.replace(b"rea''dy", b""):
            kind, data = terminal.receive()
            seen += data if kind == BINARY or not data.startswith(b'{"type":"control"') else b""
        time.sleep(0.3)  # `cat` is started by now
        for turn in range(self.setting.times(500, 100)):
            key = bytes([97 + turn % 26])
            started = time.perf_counter()
            terminal.send(key)
            while key not in terminal.receive()[1]:
                pass
            samples.add((time.perf_counter() - started) * 1000)
        terminal.close()

    def download(self):
        """A large file, against `cat` to a TCP connection of the same container."""
        self.run(f"head -c {SIZE} /dev/urandom >{LARGE}")
        product, floor = Samples(), Samples()
        buffer = bytearray(1 << 20)
        for _ in range(self.setting.times()):
            answer = self.call("GET", f"/files/download?path={LARGE}", keep=False)
            if answer.length != SIZE:
                raise RuntimeError(f"download: {answer.length} bytes")
            product.add(SIZE / MB / answer.seconds)
            with self._floor_connection() as connection:
                started, received = time.perf_counter(), 0
                connection.sendall(f"cat {LARGE}\n".encode())
                while count := connection.recv_into(buffer):
                    received += count
                floor.add(SIZE / MB / (time.perf_counter() - started))
            if received != SIZE:
                raise RuntimeError(f"cat: {received} bytes")
        self.run(f"rm {LARGE}")
        return Figure("toolbox: download 100 MB", "MB/s", product, floor, 0.8, "ratio", at_least=True)

    def find(self):
        """A word in 100,000 files of 1 KiB, three of which have it."""
        make = ("import os\n"
                f"for i in range({FILES}):\n"
                f"    d = '{TREE}/%03d' % (i % 500)\n"
                "    os.makedirs(d, exist_ok=True)\n"
                "    open('%s/%d.txt' % (d, i), 'w').write('harbor bench line\\n' * 56 + ('needle\\n' if i % 40000 == 7 else ''))\n")
        self.run(f'python3 -c "{make}"')
        product, floor = Samples(), Samples()
        for turn in range(self.setting.times(20, 5) + 1):
            answer = self.call("GET", f"/files/find?path={TREE}&pattern=needle")
            if len(answer.json()) != 3:
                raise RuntimeError(f"find: {answer.body[:300]!r}")
            grep = self.call("POST", "/process/execute", {"command": f"grep -rF needle {TREE}"})
            if grep.json()["result"].count("\n") != 3:
                raise RuntimeError(f"grep: {grep.body[:300]!r}")
            if turn:
                product.add(answer.seconds * 1000)
                floor.add(grep.seconds * 1000)
        self.run(f"rm -rf {TREE}")
        return Figure(f"toolbox: find in {FILES:,} files", "ms", product, floor, 1.5, "ratio")

    def clone(self):
        """A repository of 50 MB, from a file remote."""
        self.run(f"mkdir -p {REPOSITORY} && cd {REPOSITORY} && git init -q && for i in $(seq 50); do head -c {MB} /dev/urandom >f$i; done"
                 " && git add . && git -c user.name=bench -c user.email=bench@localhost commit -qm all")
        product, floor = Samples(), Samples()
        for turn in range(self.setting.times(20, 5) + 1):
            answer = self.call("POST", "/git/clone", {"url": f"file://{REPOSITORY}", "path": f"{REPOSITORY}-1"})
            git = self.call("POST", "/process/execute", {"command": f"git clone -q file://{REPOSITORY} {REPOSITORY}-2", "timeout": 300})
            if not succeeded(git):
                raise RuntimeError(f"git: {git.body[:300]!r}")
            self.run(f"test -f {REPOSITORY}-1/f50 && rm -rf {REPOSITORY}-1 {REPOSITORY}-2")
            if turn:
                product.add(answer.seconds * 1000)
                floor.add(git.seconds * 1000)
        return Figure("toolbox: clone 50 MB", "ms", product, floor, 1.3, "ratio")
