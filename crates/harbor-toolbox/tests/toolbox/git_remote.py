# A git server over HTTP for tests: `git http-backend` behind one login, and a look at who could see the secret.
#
# argv: directory of the repositories, file with "user:password" or empty text, file for what was seen, optional
# address that everything is redirected to. With REMOTE_CERTIFICATE it speaks TLS. Prints its port.
import base64
import glob
import http.server
import os
import ssl
import subprocess
import sys

ROOT, LOGIN_FILE, SEEN = sys.argv[1:4]
ELSEWHERE = sys.argv[4] if len(sys.argv) > 4 else None
LOGIN = open(LOGIN_FILE).read()


def note(text):
    with open(SEEN, "a") as seen:
        seen.write(text + "\n")


def look_for_secret():
    """Notes every process that has the password in its arguments or its environment."""
    secret = LOGIN.partition(":")[2].encode()
    for process in glob.glob("/proc/[0-9]*"):
        for what in ("cmdline", "environ"):
            try:
                with open(os.path.join(process, what), "rb") as file:
                    if secret in file.read():
                        note("leak: " + what)
            except OSError:
                pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, headers=(), body=b""):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def body(self):
        if self.headers.get("Content-Length"):
            return self.rfile.read(int(self.headers["Content-Length"]))
        whole = b""
        while "chunked" in (self.headers.get("Transfer-Encoding") or ""):
            length = int(self.rfile.readline(), 16)
            whole += self.rfile.read(length)
            self.rfile.readline()
            if not length:
                break
        return whole

    def go(self):
        given = self.headers.get("Authorization")
        body = self.body()
        note("authorization: " + ("yes" if given else "no"))
        if ELSEWHERE:
            return self.answer(302, [("Location", ELSEWHERE + self.path)])
        if LOGIN and given != "Basic " + base64.b64encode(LOGIN.encode()).decode():
            return self.answer(401, [("WWW-Authenticate", 'Basic realm="r"')])
        if LOGIN:
            look_for_secret()
        path, _, query = self.path.partition("?")
        environment = dict(
            os.environ, GIT_PROJECT_ROOT=ROOT, GIT_HTTP_EXPORT_ALL="1", PATH_INFO=path, QUERY_STRING=query,
            REQUEST_METHOD=self.command, CONTENT_TYPE=self.headers.get("Content-Type") or "", REMOTE_USER="u",
            REMOTE_ADDR="127.0.0.1", HTTP_CONTENT_ENCODING=self.headers.get("Content-Encoding") or "",
            GIT_PROTOCOL=self.headers.get("Git-Protocol") or "")
        output = subprocess.run(["git", "http-backend"], input=body, env=environment, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL).stdout
        head, _, content = output.partition(b"\r\n\r\n")
        headers = [line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line]
        status = int(dict(headers).get("Status", "200").split()[0])
        self.answer(status, [field for field in headers if field[0] != "Status"], content)

    do_GET = do_POST = go

    def log_message(self, *arguments):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
if "REMOTE_CERTIFICATE" in os.environ:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(os.environ["REMOTE_CERTIFICATE"])
    server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_port, flush=True)
server.serve_forever()
