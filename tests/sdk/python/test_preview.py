"""Preview links (contract, control plane §5.11 and edges §1)."""

import http.client
import time
from urllib.parse import urlsplit


def fetch(url, headers=()):
    """A GET without name resolution: `*.localhost` is this machine, but not every resolver knows."""
    address = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=10)
    try:
        connection.request("GET", address.path or "/", headers={"Host": address.netloc, **dict(headers)})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def serve(sandbox, port, word):
    """A web server inside; it listens on loopback only."""
    sandbox.process.exec(
        f"mkdir -p /tmp/{word} && echo {word} >/tmp/{word}/index.html && "
        f"python3 -m http.server {port} --bind 127.0.0.1 --directory /tmp/{word} >/dev/null 2>&1 &"
    )
    for _ in range(50):
        if sandbox.process.exec(f"curl -sf http://127.0.0.1:{port}/").exit_code == 0:
            return
        time.sleep(0.1)
    raise AssertionError("the server in the sandbox did not start")


def test_a_link_names_port_and_sandbox(sandbox):
    link = sandbox.get_preview_link(3000)
    address = urlsplit(link.url)
    assert address.scheme in ("http", "https")
    assert address.hostname.startswith(f"3000-{sandbox.id}.")
    assert link.token


def test_a_private_preview_needs_the_token(sandbox, word):
    serve(sandbox, 8123, word)
    link = sandbox.get_preview_link(8123)
    assert fetch(link.url, {"x-daytona-preview-token": link.token}) == (200, f"{word}\n")
    for headers in ({}, {"x-daytona-preview-token": "wrong"}):
        status, body = fetch(link.url, headers)
        assert status in (302, 303, 307, 401, 403)
        assert word not in body


def test_a_public_preview_does_not(create, word):
    sandbox = create(public=True)
    serve(sandbox, 8124, word)
    assert fetch(sandbox.get_preview_link(8124).url) == (200, f"{word}\n")
