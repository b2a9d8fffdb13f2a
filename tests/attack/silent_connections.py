"""Connections that say nothing, or never finish what they say, lock nobody out (attack 45)."""

import contextlib
import resource
import socket
import urllib.parse

from lib import attack

MOST_WAIT = 1.0  # seconds for somebody else's answer while they are held
MOST_QUEUE = 10.0  # seconds until they are all accepted, and the first answer of somebody else with them
WANTED = 9000  # more than harbor holds at a time

soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
count = min(WANTED, hard - 100)
for what, first_bytes in (
    ("silent connections", b""),
    ("half heads", b"GET /api/sandbox HTTP/1.1\r\nHost: x\r\n"),
    ("bodies that do not come", b"POST /api/sandbox HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{"),
):
    for base in (attack.API, attack.PROXY):
        address = urllib.parse.urlsplit(base)
        with contextlib.ExitStack() as held:
            for _ in range(count):
                connection = held.enter_context(socket.create_connection((address.hostname, address.port), timeout=30))
                with contextlib.suppress(OSError):  # it has made room for a later one
                    connection.sendall(first_bytes)
            _, seconds = attack.timed(lambda base=base: attack.ask("GET", f"{base}/health"))
            attack.fails(f"making others queue behind {count} {what}", seconds > MOST_QUEUE, f"{seconds:.2f} s")
            for door, path in ((attack.API, "/api/sandbox"), (attack.PROXY, "/health")):
                (status, text), seconds = attack.timed(lambda door=door, path=path: attack.ask("GET", door + path))
                told = (status, text[:200], f"{seconds:.2f} s")
                attack.fails(f"locking others out of {path} by {count} {what}", status != 200 or seconds > MOST_WAIT, told)
attack.finish()
