"""A key that somebody lost, or was given to read with, gives nothing that its owner did not mean to give."""

import base64
import os
import socket
import threading
import time
import urllib.parse
from typing import Any

from lib import attack

SOON = 10  # seconds in which what a key opened ends with it


def make(name: str, permissions: list[str], headers: dict[str, str] | None = None, **more: Any) -> tuple[int, Any]:
    """Status and body of making a key, with this suite's key or another."""
    body = {"name": name, "permissions": permissions, **more}
    status, text = attack.ask("POST", f"{attack.API}/api/api-keys", body, headers)
    return status, attack.json.loads(text)


def made(name: str, permissions: list[str], headers: dict[str, str] | None = None, **more: Any) -> dict[str, str]:
    """The header that shows a new key."""
    status, body = make(name, permissions, headers, **more)
    if status != 201:
        raise SystemExit(f"no key {name}: {status} {body}")
    return {"Authorization": f"Bearer {body['value']}"}


def delete(name: str) -> None:
    """Deletes a key of this suite's."""
    attack.ask("DELETE", f"{attack.API}/api/api-keys/{urllib.parse.quote(name)}")


def date(seconds: float) -> str:
    """So many seconds from now, as clients write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def terminal(key: dict[str, str]) -> socket.socket:
    """A terminal of the sandbox, opened with the key, as far as its first bytes."""
    name = f"terminal-{base64.b32encode(os.urandom(5)).decode().lower()}"
    road = f"/toolbox/{owner.id}/process/pty"
    status, text = attack.ask("POST", f"{attack.PROXY}{road}", {"id": name, "cols": 80, "rows": 24}, key)
    if status not in (200, 201):
        raise SystemExit(f"no terminal: {status} {text[:300]!r}")
    proxy = urllib.parse.urlsplit(attack.PROXY)
    connection = socket.create_connection((proxy.hostname, proxy.port), timeout=SOON)
    connection.sendall(
        f"GET {road}/{name}/connect HTTP/1.1\r\nHost: {proxy.netloc}\r\nAuthorization: {key['Authorization']}\r\n"
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}\r\n\r\n".encode()
    )
    head = connection.recv(4096)
    if not head.startswith(b"HTTP/1.1 101 "):
        raise SystemExit(f"no terminal: {head[:300]!r}")
    return connection


def is_open(connection: socket.socket, patience: float) -> bool:
    """Whether a connection is still open after so many seconds; what it says meanwhile is read."""
    deadline = time.monotonic() + patience
    while (left := deadline - time.monotonic()) > 0:
        connection.settimeout(left)
        try:
            if not connection.recv(4096):
                return False
        except TimeoutError:
            return True
        except OSError:
            return False
    return True


owner = attack.sandbox()
suffix = base64.b32encode(os.urandom(5)).decode().lower()
reader, expiring, parent = f"reader {suffix}", f"expiring {suffix}", f"parent {suffix}"

# a key without permissions reads, and only reads
weak = made(reader, [])
status, text = attack.ask("GET", f"{attack.API}/api/sandbox/{owner.id}", headers=weak)
attack.works("reading with a key that may read", status == 200, text)
look = {"command": "id"}
for what, method, url, body in [
    ("a command", "POST", f"{attack.PROXY}/toolbox/{owner.id}/process/execute", look),
    ("a command by the API's port", "POST", f"{attack.API}/toolbox/{owner.id}/process/execute", look),
    ("a command by the older path", "POST", f"{attack.API}/api/toolbox/{owner.id}/toolbox/process/execute", look),
    ("a file", "GET", f"{attack.PROXY}/toolbox/{owner.id}/files/download?path=/etc/hostname", None),
    ("a preview token", "GET", f"{attack.API}/api/sandbox/{owner.id}/ports/3000/preview-url", None),
    ("a key for files", "GET", f"{attack.API}/api/sandbox/{owner.id}/signing-key", None),
    ("stopping", "POST", f"{attack.API}/api/sandbox/{owner.id}/stop", None),
]:
    status, text = attack.ask(method, url, body, weak)
    attack.fails(f"{what} with a key that may only read", status != 403, (status, text))
status, _ = make("stronger", ["write:sandboxes"], weak)
attack.fails("making a stronger key with a weak one", status == 201, status)
delete(reader)

# a key that expires leaves no successor behind
short = made(expiring, ["write:sandboxes"], expiresAt=date(15))
status, body = make(f"successor {suffix}", ["write:sandboxes"], short, expiresAt=date(3600))
attack.fails("a successor that expires later", status == 201, body)
successor = made(f"successor {suffix}", ["write:sandboxes"], short)
running = terminal(successor)
attack.works("a terminal of a successor", is_open(running, 1))
attack.fails("a terminal beyond the expiry of the key that made its key", is_open(running, 15 + SOON))
status, text = attack.ask("GET", f"{attack.API}/api/api-keys/current", headers=successor)
attack.fails("a successor without an expiry of its own", status != 401, (status, text))
delete(expiring)

# what a key opened ends when it is deleted, and so do the keys that it made
first = made(parent, ["write:sandboxes"])
second = made(f"child {suffix}", ["write:sandboxes"], first)
terminals = [terminal(first), terminal(second)]
waiting: list[tuple[int, float]] = []


def wait_long() -> None:
    """A command that takes a minute, by the first key."""
    url = f"{attack.PROXY}/toolbox/{owner.id}/process/execute"
    answered, seconds = attack.timed(lambda: attack.ask("POST", url, {"command": "sleep 60; echo done"}, first, 90))
    waiting.append((answered[0], seconds))


long_call = threading.Thread(target=wait_long)
long_call.start()
attack.works("terminals by good keys", all([is_open(one, 1) for one in terminals]))
delete(parent)
attack.fails("a terminal after its key was deleted", is_open(terminals[0], SOON))
attack.fails("a terminal after the key that made its key was deleted", is_open(terminals[1], SOON))
long_call.join()
late = waiting[0][0] == 200 or waiting[0][1] > SOON + 5
attack.fails("waiting for a command after the key was deleted", late, waiting)
status, text = attack.ask("GET", f"{attack.API}/api/api-keys/current", headers=second)
attack.fails("a key whose parent was deleted", status != 401, (status, text))
attack.finish()
