"""The floor of the group fanout: sends the same bytes to many websocket connections, and does nothing else.

Prints its port, then takes `COUNT` connections. Standard input is lines: `frame HEX` says what is sent, `send` sends it.
"""
import base64
import hashlib
import select
import socket
import sys

ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def welcome(connection):
    """Answers the request for a websocket, whatever else it asks for."""
    request = b""
    while b"\r\n\r\n" not in request:
        request += connection.recv(4096)
    key = next(line.split(b":", 1)[1].strip() for line in request.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key:"))
    accepted = base64.b64encode(hashlib.sha1(key + ACCEPT).digest())
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accepted + b"\r\n\r\n")
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setblocking(False)


def send(connections, frame):
    """As much as each takes at once; the rest when it takes more."""
    left, poll = {}, select.epoll()
    for connection in connections:
        sent = attempt(connection, frame)
        if sent < len(frame):
            left[connection.fileno()] = (connection, sent)
            poll.register(connection, select.EPOLLOUT)
    while left:
        for number, _ in poll.poll():
            connection, sent = left[number]
            sent += attempt(connection, frame[sent:])
            left[number] = (connection, sent)
            if sent == len(frame):
                poll.unregister(connection)
                del left[number]
    poll.close()


def attempt(connection, data):
    try:
        return connection.send(data)
    except BlockingIOError:
        return 0


def main():
    count = int(sys.argv[1])
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print(listener.getsockname()[1], flush=True)
    connections, frame = [], b""
    for _ in range(count):
        connections.append(listener.accept()[0])
        welcome(connections[-1])
    for line in sys.stdin:
        word, _, argument = line.strip().partition(" ")
        if word == "frame":
            frame = bytes.fromhex(argument)
        elif word == "send":
            send(connections, frame)


main()
