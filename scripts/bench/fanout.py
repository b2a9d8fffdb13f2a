"""One change of a sandbox told to 1,000 clients of the event stream: from sending the request until each has the event.

Floor: a process that sends the same bytes to as many websocket connections, read by the same loop.
"""
import json
import resource
import select
import subprocess
import sys
import time
from pathlib import Path

import processes
from copies import reaches
from report import Figure, Samples
from websocket import WebSocket

CLIENTS = 1000
PATH = "/api/socket.io/?EIO=4&transport=websocket"
TARGET = 100  # milliseconds
LIMIT = 30  # seconds for an event to reach everybody
REST = 0.2  # seconds without an event, after which all of a change are taken to be read
PING, PONG = b"2", "3"
EVENT = b'42["sandbox.desired-state.updated"'  # goes out when what was asked for is recorded


def measure(setting):
    raise_open_files(2 * CLIENTS + 256)
    sandbox = setting.harbor.create()["id"]
    before = processes.status(setting.harbor.pid, "VmRSS")
    product = Crowd([listener(setting.harbor) for _ in range(CLIENTS)])
    process = subprocess.Popen([sys.executable, Path(__file__).with_name("broadcast.py"), str(CLIENTS)],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    floor = None
    try:
        address = ("127.0.0.1", int(process.stdout.readline()))
        floor = Crowd([WebSocket(address, "/", {}) for _ in range(CLIENTS)])
        return compare(setting, sandbox, product, floor, process.stdin, before)
    finally:
        product.close()
        if floor:
            floor.close()
        process.kill()
        process.wait()
        setting.harbor.delete(sandbox)


def raise_open_files(needed):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, needed) if hard != resource.RLIM_INFINITY else needed, hard))


def listener(harbor):
    """A connected client of the event stream."""
    client = WebSocket(harbor.address, PATH, {})
    client.receive()  # the session's parameters
    client.send_text("40" + json.dumps({"token": harbor.key}))
    while (answer := client.receive()[1]) == PING:
        client.send_text(PONG)
    if not answer.startswith(b'40{"sid"'):
        raise RuntimeError(f"the event stream refused a client: {answer[:200]!r}")
    return client


class Crowd:
    """Clients that are read by one loop."""

    def __init__(self, clients):
        self.clients = {client.socket.fileno(): client for client in clients}
        self.poll = select.epoll()
        self.events = 0
        for number, client in self.clients.items():
            self._take(client, client.waiting())  # what came with the answer to its connecting
            self.poll.register(number, select.EPOLLIN)

    def hears(self, mark, act):
        """Milliseconds after the beginning of `act` at which each client had a payload that begins with `mark`, and one such payload."""
        heard, sample = {}, b""
        deadline = time.monotonic() + LIMIT
        started = time.perf_counter()
        act()
        while len(heard) < len(self.clients):
            for number, payload in self._read(0.5):
                if payload.startswith(mark) and number not in heard:
                    heard[number] = (time.perf_counter() - started) * 1000
                    sample = payload
            if time.monotonic() > deadline:
                raise RuntimeError(f"{len(heard)} of {len(self.clients)} clients have the event after {LIMIT} s")
        return list(heard.values()), sample

    def rest(self):
        """Reads what is left, until nobody has had an event for a while."""
        quiet = time.monotonic() + REST
        while time.monotonic() < quiet:
            before = self.events
            for _ in self._read(REST / 4):
                pass
            if self.events > before:
                quiet = time.monotonic() + REST

    def _read(self, seconds):
        for number, _ in self.poll.poll(seconds):
            client = self.clients[number]
            for payload in self._take(client, client.arrived()):
                yield number, payload

    def _take(self, client, payloads):
        """Answers and counts what is to be; gives all of it back."""
        for payload in payloads:
            if payload == PING:
                client.send_text(PONG)
            self.events += payload.startswith(b"42")
        return payloads

    def close(self):
        self.poll.close()
        for client in self.clients.values():
            client.close()


def compare(setting, sandbox, product, floor, orders, before):
    connection, headers = setting.harbor.connection, setting.harbor.authorization
    events, floors, last, floors_last = (Samples() for _ in range(4))
    for turn in range(setting.times() + 1):
        word = "start" if turn % 2 else "stop"
        product.events = 0
        setting.harbor.api("GET", f"/sandbox/{sandbox}")  # the connection is open
        request = connection.prepare("POST", f"/api/sandbox/{sandbox}/{word}", b"", headers)
        started = time.perf_counter()
        times, frame = product.hears(EVENT, lambda: connection.socket.sendall(request))
        answer = connection._read(True, started)  # small enough to have come in one piece
        if answer.status != 200:
            raise RuntimeError(f"{word}: {answer.status} {answer.body[:300]!r}")
        reaches(setting.harbor, sandbox, "started" if word == "start" else "stopped")
        product.rest()
        orders.write(f"frame {framed(frame).hex()}\n")
        orders.flush()
        plain, _ = floor.hears(EVENT, lambda: (orders.write("send\n"), orders.flush()))
        if turn > 0:  # the first of each is not counted
            events.values += times
            floors.values += plain
            last.add(max(times))
            floors_last.add(max(plain))
    setting.details["fanout"] = {"frame_bytes": len(frame), "frames": product.events,
                                 "harbor_growth_mb": (processes.status(setting.harbor.pid, "VmRSS") - before) / 1e6}
    setting.notes.append(f"fanout: frames of {len(frame)} bytes, {product.events / CLIENTS:g} to each client in one {word}")
    worst = Samples([events.quantile(0.99)]), Samples([floors.quantile(0.99)])
    return [Figure(f"event to each of {CLIENTS:,} clients", "ms", events, floors),
            Figure(f"event to each of {CLIENTS:,} clients, p99", "ms", *worst, TARGET),
            Figure(f"event to the last of {CLIENTS:,} clients", "ms", last, floors_last)]


def framed(payload):
    """A server's text frame, which is not masked."""
    size = len(payload)
    head = bytes([0x81, size]) if size < 126 else b"\x81\x7e" + size.to_bytes(2)
    return head + payload
