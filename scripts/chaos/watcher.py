"""A listener on the event stream: socket.io over a websocket, as the SDKs speak it, which connects again whenever it is cut.

Within one connection nothing may be missing: the states of each sandbox form a chain, from what was read when the
connection was made, or its creation, to what it is.
"""
import collections
import json
import threading
import time

from model import MOVING
from websocket import TEXT, WebSocket, WebSocketError
from wire import Connection, WireError


class Watcher(threading.Thread):
    def __init__(self, installation, ledger, stop):
        super().__init__(daemon=True, name="watcher")
        self.installation, self.ledger, self.stop = installation, ledger, stop
        self.lock, self.connections, self.events = threading.Lock(), 0, 0
        self.first, self.last = {}, {}  # of this connection: states as read when it was made, and after the newest event
        self.connected = False
        self.changes = collections.Counter()  # events by sandbox, over all connections

    def run(self):
        while not self.stop.is_set():
            if not self.installation.up_now.wait(0.2):
                continue
            starts = self.installation.starts
            try:
                self.listen()
            except (OSError, WebSocketError, WireError) as problem:
                if not self.stop.is_set() and self.installation.survived(starts):
                    self.ledger.violation("events", f"the event stream was cut while harbor ran: {problem!r}")
            with self.lock:
                self.connected = False
            time.sleep(0.05)

    def listen(self):
        socket = WebSocket(self.installation.address, "/api/socket.io/?EIO=4&transport=websocket", {}, 60)
        try:
            while not self.stop.is_set():
                kind, payload = socket.receive()
                text = payload.decode() if kind == TEXT else ""
                if text.startswith("0"):
                    socket.send_text("40" + json.dumps({"token": self.installation.key}))
                elif text.startswith("40"):
                    self.begin()
                elif text == "2":
                    socket.send_text("3")
                elif text.startswith("44"):
                    self.ledger.violation("events", f"the event stream refuses the administrator's key: {text}")
                    return
                elif text.startswith("42"):
                    self.take(*json.loads(text[2:]))
        finally:
            socket.close()

    def begin(self):
        """What is read after the connection was made is no older than the first event on it."""
        connection = Connection(self.installation.address, 30)
        answer = connection.request("GET", "/api/sandbox?limit=200&includeErroredDeleted=true", b"", self.installation.authorization)
        connection.close()
        with self.lock:
            self.connections += 1
            self.first, self.last = {item["id"]: item["state"] for item in answer.json()["items"]}, {}
            self.connected = True

    def take(self, event, payload):
        if not event.startswith("sandbox."):
            return
        with self.lock:
            self.events += 1
            sandbox = payload.get("sandbox", payload)
            identity, old, new = sandbox["id"], payload.get("oldState"), payload.get("newState")
            self.changes[identity] += 1
            if event == "sandbox.created":
                self.last[identity] = sandbox["state"]
            elif event == "sandbox.state.updated":
                self.ledger.note(f"event: {identity} {old} to {new}")
                before = self.last.get(identity)
                if before is not None and old != before:
                    self.ledger.violation("events", f"sandbox {identity} was {before} by its last event, and the next one says {old} to {new}")
                if new != sandbox["state"]:
                    self.ledger.violation("events", f"an event says that sandbox {identity} is {new}, and the sandbox in it is {sandbox['state']}")
                self.last[identity] = new

    def state(self, identity):
        """What was heard last of a sandbox, if anything."""
        return self.last.get(identity, self.first.get(identity))

    def moving(self):
        """States of the sandboxes that were on their way somewhere when the connection ended."""
        with self.lock:
            return [state for state in {**self.first, **self.last}.values() if state in MOVING]

    def differences(self, states):
        """Where what was heard last disagrees with `states`, by id, of all sandboxes that there are."""
        with self.lock:
            if not self.connected:
                return ["the event stream is not connected"]
            wrong = []
            for identity, state in states.items():
                heard = self.last.get(identity, self.first.get(identity))
                if heard is None:
                    wrong.append(f"sandbox {identity} is {state}, and the event stream never told of it")
                elif heard != state:
                    wrong.append(f"sandbox {identity} is {state}, and {heard} by the event stream")
            for identity, heard in {**self.first, **self.last}.items():
                if identity not in states and heard != "destroyed":
                    wrong.append(f"sandbox {identity} is gone, and {heard} by the event stream")
            return wrong
