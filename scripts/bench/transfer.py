"""100 MB up and down through harbor, against the same with a toolbox reached directly; and what harbor's memory does."""
import hashlib
import json
import os

import processes
from execute import Direct, Through
from report import Figure, Samples

SIZE = 100_000_000
NAME = "harbor-bench.bin"
BOUNDARY = "harborBench5f1c"
LEAST = 0.5


def measure(setting):
    content = os.urandom(1_000_000) * (SIZE // 1_000_000)
    direct = Direct(setting)
    try:
        return compare(setting, direct, Through(setting), content)
    finally:
        direct.close()


def compare(setting, direct, through, content):
    pid = setting.harbor.pid
    before = processes.status(pid, "VmRSS")
    processes.forget_peak(pid)
    sides = [Side(through.connection, through.prefix, through.headers, content), Side(direct.connection, "", direct.headers, content)]
    rates = {side: (Samples(), Samples()) for side in sides}
    for turn in range(setting.times() + 1):
        for side in sides if turn % 2 else sides[::-1]:
            up, down = side.upload(), side.download()
            if turn == 0:
                side.check(content)
            else:
                rates[side][0].add(up)
                rates[side][1].add(down)
    peak = processes.status(pid, "VmHWM")
    for side in sides:
        side.remove()
    (up, down), (direct_up, direct_down) = rates[sides[0]], rates[sides[1]]
    return [Figure("upload 100 MB", "MB/s", up, direct_up, LEAST, "ratio", at_least=True),
            Figure("download 100 MB", "MB/s", down, direct_down, LEAST, "ratio", at_least=True),
            Figure("harbor's growth meanwhile", "MB", Samples([max(0, peak - before) / 1e6]), target=16)]


class Side:
    """One way to a toolbox; its requests are made once."""

    def __init__(self, connection, prefix, headers, content):
        self.connection, self.prefix, self.headers = connection, prefix, headers
        head = "".join(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files[0].{part}"{extra}\r\n\r\n' for part, extra in
                       (("path", ""),)) + f"{NAME}\r\n--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"files[0].file\"; filename=\"{NAME}\"\r\n\r\n"
        body = head.encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()
        kind = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        self.up = connection.prepare("POST", f"{prefix}/files/bulk-upload", body, headers | kind)
        self.down = connection.prepare("GET", f"{prefix}/files/download?path={NAME}", b"", headers)

    def upload(self):
        """MB per second."""
        answer = self.connection.exchange(self.up)
        if answer.status != 200 or answer.json()["files"] != [{"path": NAME, "bytes": SIZE}]:
            raise RuntimeError(f"upload: {answer.status} {answer.body[:300]!r}")
        return SIZE / 1e6 / answer.seconds

    def download(self):
        """MB per second."""
        answer = self.connection.exchange(self.down, keep=False)
        if answer.status != 200 or answer.length != SIZE:
            raise RuntimeError(f"download: {answer.status}, {answer.length} bytes")
        return SIZE / 1e6 / answer.seconds

    def check(self, content):
        """What came to rest there is what was sent."""
        body = json.dumps({"command": f"sha256sum {NAME} | cut -c -64"}).encode()
        answer = self.connection.request("POST", f"{self.prefix}/process/execute", body, self.headers | {"Content-Type": "application/json"})
        if answer.json()["result"].strip() != hashlib.sha256(content).hexdigest():
            raise RuntimeError(f"the file differs from what was uploaded: {answer.body!r}")

    def remove(self):
        self.connection.request("DELETE", f"{self.prefix}/files?path={NAME}", b"", self.headers)
