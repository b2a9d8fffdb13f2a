"""Runs in a container, beside a toolbox: does without it what the toolbox is measured with. One request a connection line:

  spawn SHELL    starts `SHELL -c true`, output to a pipe, and waits for it; answers the seconds
  cat PATH       the file, by a `cat` whose standard output is the connection, which then ends
"""
import os
import socketserver
import subprocess
import sys
import time


def spawn(shell):
    reader, writer = os.pipe()
    started = time.perf_counter()
    actions = [(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, writer, 2)]
    pid = os.posix_spawn(shell, [shell, "-c", "true"], os.environ, file_actions=actions)
    os.close(writer)
    while os.read(reader, 4096):
        pass
    os.close(reader)
    _, status = os.waitpid(pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise RuntimeError(f"{shell} ended with {status}")
    return seconds


class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            word, argument = line.decode().strip().split(" ", 1)
            if word == "spawn":
                self.wfile.write(f"{spawn(argument)}\n".encode())
            elif word == "cat":
                subprocess.run(["cat", argument], stdout=self.connection.fileno(), check=True)
                return


class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True


Server(("0.0.0.0", int(sys.argv[1])), Handler).serve_forever()
