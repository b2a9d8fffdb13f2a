"""A WebSocket client: as much of RFC 6455 as measuring terminals and the event stream needs.

Leaves out: fragments, extensions, pings of its own.
"""
import base64
import os
import socket
import struct

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class WebSocketError(Exception):
    """The other side refused or broke off."""


class WebSocket:
    """`address` is (host, port)."""

    def __init__(self, address, path, headers, timeout=30.0):
        self.socket = socket.create_connection(address, timeout)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""
        lines = [f"GET {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}", "Connection: Upgrade", "Upgrade: websocket",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n")
        while b"\r\n\r\n" not in self.rest:
            self._more()
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        if not head.startswith(b"HTTP/1.1 101"):
            raise WebSocketError(f"{path}: {head[:200]!r} {self.rest[:300]!r}")

    def send(self, payload, kind=BINARY):
        mask = os.urandom(4)
        if len(payload) >= 126:
            raise WebSocketError("longer than 125 bytes: not built")
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.socket.sendall(bytes([0x80 | kind, 0x80 | len(payload)]) + mask + masked)

    def send_text(self, text):
        self.send(text.encode(), TEXT)

    def receive(self):
        """The next frame with data: its kind and payload."""
        while True:
            first, length = self._exactly(2)
            length &= 0x7F
            if length == 126:
                [length] = struct.unpack("!H", self._exactly(2))
            elif length == 127:
                [length] = struct.unpack("!Q", self._exactly(8))
            payload = self._exactly(length)
            kind = first & 0x0F
            if kind == CLOSE:
                raise WebSocketError(f"closed: {payload!r}")
            if kind == PING:
                self.send(payload, PONG)
            elif kind != PONG:
                return kind, payload

    def arrived(self):
        """The payloads of the frames that one read makes whole; the socket must have something to read."""
        self._more()
        return self.waiting()

    def waiting(self):
        """The payloads of the whole frames that have been read and not given yet."""
        data, at, payloads = self.rest, 0, []
        while len(data) >= at + 2:
            start, length = at + 2, data[at + 1] & 0x7F
            if length >= 126:
                size = 2 if length == 126 else 8
                start, length = start + size, int.from_bytes(data[start:start + size])
            if len(data) < start + length:
                break
            at = start + length
            payloads.append(data[start:at])
        self.rest = data[at:]
        return payloads

    def close(self):
        self.socket.close()

    def _exactly(self, length):
        while len(self.rest) < length:
            self._more()
        data, self.rest = self.rest[:length], self.rest[length:]
        return data

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise WebSocketError("the connection was closed")
        self.rest += data
