"""A git server with passwords inside the sandbox, and a fresh repository on it for every test."""

import secrets
import time
from pathlib import Path

PROGRAM = Path(__file__).parent.parent / "git_server.py"
PATIENCE = 60  # seconds until the server listens
SEED = """
set -e
mkdir -p {root}; cd {root}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -keyout key.pem -out certificate.pem 2>/dev/null
cat key.pem >>certificate.pem
git init -q -b main seed; cd seed
git config user.name Seed; git config user.email seed@example.com
echo hello >README.md; git add .; git commit -q -m First
echo again >>README.md; git commit -q -a -m Second
git checkout -q -b develop; echo develop >develop.txt; git add .; git commit -q -m Develop
git checkout -q main; git rev-parse main~1
"""


class Server:
    """Serves what lies under one directory of the sandbox, plainly and over TLS, to one user."""

    def __init__(self, sandbox, port):
        self._sandbox, self._port = sandbox, port
        self.root = f"/tmp/git-server-{secrets.token_hex(4)}"
        self.credentials = {"username": "git", "password": secrets.token_hex(12)}
        sandbox.fs.upload_file(str(PROGRAM), f"{self.root}/server.py")
        self.first = self.sh(SEED.format(root=self.root)).strip()
        options = [self.root, *self.credentials.values()]
        for arguments in ([port, *options], [port + 1, *options, f"{self.root}/certificate.pem"]):
            line = " ".join(map(str, arguments))
            self.sh(f"nohup python3 {self.root}/server.py {line} >{self.root}/log 2>&1 &")
        deadline = time.monotonic() + PATIENCE
        probe = f"curl -so /dev/null localhost:{port} && curl -ksSo /dev/null https://localhost:{port + 1}"
        while (answer := sandbox.process.exec(probe)).exit_code != 0:
            assert time.monotonic() < deadline, answer.result
            time.sleep(0.1)

    def sh(self, script):
        answer = self._sandbox.process.exec(script)
        assert answer.exit_code == 0, answer.result
        return answer.result

    def repository(self, name):
        """A bare repository with two commits on `main` and one more on `develop`."""
        self.sh(
            f"cd {self.root} && git clone -q --bare seed {name}.git && git -C {name}.git config http.receivepack true"
        )
        return Repository(self, name)


class Repository:
    """One repository: where it is, who may enter, and its first commit."""

    def __init__(self, server, name):
        self._server = server
        self.directory = f"{server.root}/{name}.git"
        self.url = f"http://localhost:{server._port}/{name}.git"
        self.secure_url = f"https://localhost:{server._port + 1}/{name}.git"
        self.credentials = dict(server.credentials)
        self.first = server.first

    def head(self, branch):
        """The commit of a branch, as it lies on the server."""
        return self._server.sh(f"git -C {self.directory} rev-parse {branch}").strip()
