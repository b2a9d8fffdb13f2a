"""Half a gigabyte pushed to harbor's registry and pulled from it, beside the same with Debian's docker-registry.

Five blobs of 100 MB each, one after another on one connection, as engines send them: a chunked body without a length.
Nothing that was sent before is sent again, so that neither finds it there already.
"""
import base64
import contextlib
import hashlib
import http.client
import os
import shutil
import socket
import subprocess
import time
from urllib.parse import urlsplit

from report import Figure, Samples

BLOB, BLOBS = 100_000_000, 5
PIECE = 1 << 20
TURNS = 5
LEAST = 0.8


def measure(setting):
    login = base64.b64encode(f"bench:{setting.harbor.key}".encode()).decode()
    port = int(setting.harbor.environment["HARBOR_DAYTONA_REGISTRY_HOST_PORT"])
    rest = os.urandom(BLOB - 16)
    with peer(setting.scratch) as other:
        sides = [Side(port, {"Authorization": f"Basic {login}"}), Side(other, {})]
        for turn in range(setting.times(TURNS, 2) + 1):
            blobs = [os.urandom(16) + rest for _ in range(BLOBS)]
            digests = [f"sha256:{hashlib.sha256(blob).hexdigest()}" for blob in blobs]
            for side in sides if turn % 2 else sides[::-1]:
                pushed, pulled = side.push(blobs, digests), side.pull(digests)
                if turn > 0:  # the first of each is not counted
                    side.pushes.add(pushed)
                    side.pulls.add(pulled)
    ours, theirs = sides
    return [Figure("push 500 MB to the registry", "MB/s", ours.pushes, theirs.pushes, LEAST, "ratio", at_least=True),
            Figure("pull 500 MB from the registry", "MB/s", ours.pulls, theirs.pulls, LEAST, "ratio", at_least=True)]


class Side:
    """One registry, and what was measured of it."""

    def __init__(self, port, headers):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120, blocksize=PIECE)
        self.headers, self.pushes, self.pulls = headers, Samples(), Samples()

    def ask(self, method, target, body=None, chunked=False, **headers):
        self.connection.request(method, target, body, self.headers | headers, encode_chunked=chunked)
        answer = self.connection.getresponse()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {target}: {answer.status} {answer.read()[:300]}")
        return answer

    def push(self, blobs, digests):
        started = time.perf_counter()
        for blob, digest in zip(blobs, digests, strict=True):
            answer = self.ask("POST", "/v2/bench/app/blobs/uploads/")
            answer.read()
            pieces = (memoryview(blob)[at:at + PIECE] for at in range(0, BLOB, PIECE))
            answer = self.ask("PATCH", path(answer), pieces, True, **{"Transfer-Encoding": "chunked"})
            answer.read()
            target = path(answer)
            self.ask("PUT", f"{target}{'&' if '?' in target else '?'}digest={digest}", **{"Content-Length": "0"}).read()
        return BLOBS * BLOB / 1e6 / (time.perf_counter() - started)

    def pull(self, digests):
        started = time.perf_counter()
        space = bytearray(PIECE)
        for digest in digests:
            answer, got = self.ask("GET", f"/v2/bench/app/blobs/{digest}"), 0
            while read := answer.readinto(space):
                got += read
            if got != BLOB:
                raise RuntimeError(f"{got} bytes of a blob came")
        return BLOBS * BLOB / 1e6 / (time.perf_counter() - started)


def path(answer):
    """Where an answer leads, which some say with the host."""
    place = urlsplit(answer.headers["Location"])
    return f"{place.path}?{place.query}" if place.query else place.path


@contextlib.contextmanager
def peer(scratch):
    """The port of a docker-registry of its own."""
    if not shutil.which("docker-registry"):
        raise RuntimeError("docker-registry is not installed: apt-get install docker-registry")
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    directory, config = scratch / "docker-registry", scratch / "docker-registry.yml"
    config.write_text(f"version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n"
                      f"storage: {{filesystem: {{rootdirectory: {directory}}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n")
    server = subprocess.Popen(["docker-registry", "serve", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.1)
        yield port
    finally:
        server.terminate()
        server.wait(10)
        shutil.rmtree(directory, ignore_errors=True)
