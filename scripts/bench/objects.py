"""A gigabyte put to the S3 endpoint and got back, beside `cp` and `sha256sum` of the same file; and a hundred clients at once.

Requests are signed by presigned links, so that the client hashes nothing. What harbor's memory grows by is a figure.
"""
import concurrent.futures
import datetime
import hashlib
import hmac
import http.client
import os
import subprocess
import time

import processes
from report import Figure, Samples

SIZE, PIECE = 1_000_000_000, 1 << 20
TURNS = 5
CLIENTS, SMALL = 100, 16_000_000
LEAST, GROWTH = 0.6, 32


def measure(setting):
    endpoint = Endpoint(setting.harbor)
    endpoint.ask("PUT", "/bench")
    file, copy = setting.scratch / "object", setting.scratch / "copy"
    with open(file, "wb") as written:
        block = os.urandom(PIECE)
        for at in range(0, SIZE, PIECE):
            written.write(block[:SIZE - at])
    pid = setting.harbor.pid
    puts, gets, floor = Samples(), Samples(), Samples()
    before = processes.status(pid, "VmRSS")
    processes.forget_peak(pid)
    try:
        for turn in range(setting.times(TURNS, 2) + 1):
            rates = endpoint.put("/bench/large", file), endpoint.get("/bench/large", SIZE), copied(file, copy)
            if turn > 0:  # the first of each is not counted
                for samples, rate in zip((puts, gets, floor), rates, strict=True):
                    samples.add(rate)
        one = processes.status(pid, "VmHWM")
        crowd(endpoint, file)
        all_of_them = processes.status(pid, "VmHWM")
    finally:
        file.unlink()
        copy.unlink(missing_ok=True)
    grown = [Samples([max(0, peak - before) / 1e6]) for peak in (one, all_of_them)]
    return [Figure("put 1 GB by S3, beside cp and sha256sum", "MB/s", puts, floor, LEAST, "ratio", at_least=True),
            Figure("get 1 GB by S3, beside cp and sha256sum", "MB/s", gets, floor, LEAST, "ratio", at_least=True),
            Figure("harbor's growth meanwhile", "MB", grown[0], target=GROWTH),
            Figure(f"harbor's growth with {CLIENTS} clients at once", "MB", grown[1], target=GROWTH)]


def copied(file, copy):
    """Megabytes a second, on the disk as an object is when it was answered."""
    started = time.perf_counter()
    subprocess.run(["cp", file, copy], check=True)
    subprocess.run(["sync", copy], check=True)
    subprocess.run(["sha256sum", copy], check=True, capture_output=True)
    return SIZE / 1e6 / (time.perf_counter() - started)


def crowd(endpoint, file):
    """Every client puts an object and gets it back."""
    def one(number):
        client = Endpoint(endpoint.harbor)
        client.put(f"/bench/{number}", file, SMALL)
        client.get(f"/bench/{number}", SMALL)

    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(one, range(CLIENTS)))


class Endpoint:
    """A client of the endpoint's owner, with one connection."""

    def __init__(self, harbor):
        self.harbor = harbor
        self.host = f"127.0.0.1:{harbor.environment['HARBOR_DAYTONA_MINIO_HOST_PORT']}"
        self.connection = http.client.HTTPConnection(self.host, timeout=300, blocksize=PIECE)
        self.owner = [harbor.command("config", "get", f"daytona.minio_root_{what}").strip() for what in ("user", "password")]

    def ask(self, method, path, body=None, **headers):
        self.connection.request(method, self.signed(method, path), body, headers)
        answer = self.connection.getresponse()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.read()[:300]}")
        if method == "PUT":
            answer.read()
        return answer

    def signed(self, method, path):
        """A link for an hour (AWS signature, version 4)."""
        user, secret = self.owner
        at = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%SZ}"
        scope = f"{at[:8]}/us-east-1/s3/aws4_request"
        query = (f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential={user}%2F{scope.replace('/', '%2F')}"
                 f"&X-Amz-Date={at}&X-Amz-Expires=3600&X-Amz-SignedHeaders=host")
        asked = f"{method}\n{path}\n{query}\nhost:{self.host}\n\nhost\nUNSIGNED-PAYLOAD"
        text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{hashlib.sha256(asked.encode()).hexdigest()}"
        key = f"AWS4{secret}".encode()
        for word in scope.split("/"):
            key = hmac.digest(key, word.encode(), "sha256")
        return f"{path}?{query}&X-Amz-Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"

    def put(self, path, file, size=SIZE):
        """Megabytes a second of the file's first bytes."""
        with open(file, "rb") as source:
            pieces = (source.read(min(PIECE, size - at)) for at in range(0, size, PIECE))
            started = time.perf_counter()
            self.ask("PUT", path, pieces, **{"Content-Length": str(size)})
            return size / 1e6 / (time.perf_counter() - started)

    def get(self, path, size):
        """Megabytes a second."""
        started = time.perf_counter()
        answer, got, space = self.ask("GET", path), 0, bytearray(PIECE)
        while read := answer.readinto(space):
            got += read
        if got != size:
            raise RuntimeError(f"{got} bytes of an object came")
        return size / 1e6 / (time.perf_counter() - started)
