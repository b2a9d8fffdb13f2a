#!/usr/bin/env python3
# Joins standard input and output with a toolbox's SFTP stream, as the SSH gateway does: `join.py PORT`. What OpenSSH's
# sftp and scp run with -D.
import os
import socket
import sys
import threading

stream = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
stream.sendall(
    b"GET /.harbor/sftp HTTP/1.1\r\nhost: toolbox\r\nx-harbor-token: the-token\r\n"
    b"connection: upgrade\r\nupgrade: harbor-sftp-3\r\n\r\n"
)
head = b""
while not head.endswith(b"\r\n\r\n"):
    byte = stream.recv(1)
    assert byte, head
    head += byte
assert head.startswith(b"HTTP/1.1 101 "), head


def send():
    while data := os.read(0, 1 << 18):
        stream.sendall(data)
    stream.shutdown(socket.SHUT_WR)


threading.Thread(target=send, daemon=True).start()
while data := stream.recv(1 << 18):
    while data:
        data = data[os.write(1, data) :]
