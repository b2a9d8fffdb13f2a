"""Large bodies from somebody without a key take neither harbor's memory nor its time (attack 39)."""

import pathlib
import socket
import threading
import time
import urllib.parse

from lib import attack

LENGTH = 16 << 20
BODY = b"[" + b"0," * (LENGTH // 2 - 1) + b"0"
MOST_GROWTH = 20 << 10  # KiB
MOST_WAIT = 1.0  # seconds for somebody else's answer


def resident() -> int:
    """KiB of memory that harbor has."""
    process = pathlib.Path(attack.DATA, "lock").read_text(encoding="ascii").strip()
    status = pathlib.Path("/proc", process, "status").read_text(encoding="ascii")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")))


def post(path: str, authorization: str | None, statuses: list[bytes]) -> None:
    """Sends the body and notes the status of the answer."""
    address = urllib.parse.urlsplit(attack.API)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(BODY)}\r\n"
    head += f"Authorization: {authorization}\r\n" if authorization else ""
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        try:
            connection.sendall(head.encode() + b"\r\n" + BODY)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of it was sent
        statuses.append(connection.recv(4096)[9:12])


attack.api("GET", "/sandbox")
before = resident()
for path in ("/api/sandbox", "/api/volumes", "/api/nowhere"):
    for authorization in (None, "Bearer dtn_unknown"):
        statuses: list[bytes] = []
        posts = [threading.Thread(target=post, args=(path, authorization, statuses)) for _ in range(4)]
        slowest = 0.0
        for thread in posts:
            thread.start()
        while any(thread.is_alive() for thread in posts):
            _, seconds = attack.timed(lambda: attack.api("GET", "/sandbox"))
            slowest = max(slowest, seconds)
            time.sleep(0.01)
        what = f"{path} with {authorization or 'no credential'}"
        refused = {b"404"} if path == "/api/nowhere" else {b"401"}
        attack.works(f"refusing four large bodies to {what}", set(statuses) == refused, statuses)
        attack.fails(f"holding up others by {what}", slowest > MOST_WAIT, f"{slowest:.2f} s for another answer")
growth = resident() - before
attack.fails("taking harbor's memory by bodies without a key", growth > MOST_GROWTH, f"grew by {growth} KiB")
attack.finish()
