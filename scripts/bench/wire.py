"""HTTP/1.1 over one connection that stays open, TCP or unix socket.

Why not http.client: it costs several times what is measured here, and the same cost on both sides of a ratio hides what
harbor adds. Guarantees: a request goes out in one piece and its time ends with the last byte of the answer. Leaves out
what no engine and no toolbox sends: redirects, trailers, compression.
"""
import json
import select
import socket
import time
from dataclasses import dataclass


class WireError(Exception):
    """The other side broke off or does not speak HTTP."""


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float
    length: int  # of the body, also when it was not kept

    def json(self):
        return json.loads(self.body) if self.body else None


class Connection:
    """`address` is the path of a unix socket or (host, port)."""

    def __init__(self, address, timeout=60.0):
        self.address, self.timeout = address, timeout
        self.socket, self.rest = None, b""
        self.host = "engine" if isinstance(address, str) else f"{address[0]}:{address[1]}"

    def open(self):
        if isinstance(self.address, str):
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.socket.settimeout(self.timeout)
            self.socket.connect(self.address)
        else:
            self.socket = socket.create_connection(self.address, self.timeout)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def prepare(self, method, path, body=b"", headers=None):
        """The bytes of a request."""
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}"]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        if body or method in ("POST", "PUT", "PATCH"):
            lines.append(f"Content-Length: {len(body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    def request(self, method, path, body=b"", headers=None, keep=True):
        return self.exchange(self.prepare(method, path, body, headers), keep)

    def exchange(self, request, keep=True):
        """Sends the bytes of a request and reads its answer; `keep=False` only counts the body."""
        if self.socket is not None and select.select([self.socket], [], [], 0)[0]:
            self.close()  # the other side has closed it, having heard nothing for long
        if self.socket is None:
            self.open()
        started = time.perf_counter()
        try:
            self.socket.sendall(request)
            answer = self._read(keep, started)
        except BaseException:  # also when the bench is being ended: half an answer must not be taken for the next one
            self.close()
            raise
        if answer.headers.get("connection", "").lower() == "close":
            self.close()
        return answer

    def _read(self, keep, started):
        status, headers = self._head()
        while 100 <= status < 200:
            status, headers = self._head()
        if status in (204, 304):
            body, length = b"", 0
        elif headers.get("transfer-encoding", "").lower() == "chunked":
            body = self._chunks()
            length = len(body)
        elif "content-length" in headers:
            length = int(headers["content-length"])
            body = self._exactly(length) if keep else self._discard(length)
        else:
            body = self._to_the_end()
            length = len(body)
        return Answer(status, headers, body, time.perf_counter() - started, length)

    def _head(self):
        while (end := self.rest.find(b"\r\n\r\n")) < 0:
            self._more()
        lines = self.rest[:end].decode("latin-1").split("\r\n")
        self.rest = self.rest[end + 4:]
        words = lines[0].split(" ", 2)
        if not words[0].startswith("HTTP/1.") or len(words) < 2:
            raise WireError(f"not HTTP: {lines[0]!r}")
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(words[1]), headers

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise WireError("the connection was closed in the middle of an answer")
        self.rest += data

    def _exactly(self, length):
        while len(self.rest) < length:
            self._more()
        body, self.rest = self.rest[:length], self.rest[length:]
        return body

    def _discard(self, length):
        left = length - len(self.rest)
        if left < 0:
            raise WireError("more than was announced")
        self.rest = b""
        buffer = memoryview(bytearray(1 << 20))
        while left:
            count = self.socket.recv_into(buffer[:min(left, len(buffer))])
            if not count:
                raise WireError("the connection was closed in the middle of an answer")
            left -= count
        return b""

    def _chunks(self):
        body = []
        while True:
            while (end := self.rest.find(b"\r\n")) < 0:
                self._more()
            size = int(self.rest[:end].split(b";")[0], 16)
            self.rest = self.rest[end + 2:]
            body.append(self._exactly(size + 2)[:-2])
            if size == 0:
                return b"".join(body)

    def _to_the_end(self):
        while True:
            try:
                self._more()
            except WireError:
                self.close()
                body, self.rest = self.rest, b""
                return body
