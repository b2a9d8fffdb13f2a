"""Malformed and wrong requests: malformed.py API PROXY KEY SANDBOX

Every case names the statuses that the contract or plain sense allows (control plane §1, §3, §5.4, §5.14; toolbox §2;
edges §1). The last line is `N passed, N failed`.
"""

import contextlib
import http.client
import json
import socket
import sys
import time
from urllib.parse import urlsplit

API, PROXY, KEY, SANDBOX = sys.argv[1:]
AUTHORIZED = {"Authorization": f"Bearer {KEY}"}
JSON = {**AUTHORIZED, "Content-Type": "application/json"}
UNKNOWN = "00000000-0000-4000-8000-000000000000"
BIG = b'{"name": "' + b"x" * (64 << 20) + b'"}'

passed = failed = 0


def report(what, problem):
    global passed, failed
    if problem is None:
        passed += 1
        print(f"ok: {what}")
    else:
        failed += 1
        print(f"FAILED: {what}: {problem}")


def ask(base, method, path, headers, body):
    address = urlsplit(base)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=20)
    try:
        try:
            connection.request(method, path, body, headers)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before all of the body was sent: the answer may be there
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def refused(what, statuses, method, path, headers=JSON, body=None, base=API, error_body=True):
    """The answer has one of the statuses, and a JSON body that says so."""
    if isinstance(body, (dict, list)):
        body = json.dumps(body)
    try:
        status, text = ask(base, method, path, headers, body)
    except OSError as error:
        report(what, f"no answer: {error!r}")
        return
    problem = None
    if status not in statuses:
        problem = f"status {status}, not {statuses}: {text[:300]!r}"
    elif error_body:
        try:
            said = json.loads(text)
            if said.get("statusCode") != status or not said.get("message"):
                problem = f"a body without statusCode and message: {text[:300]!r}"
        except ValueError:
            problem = f"not JSON: {text[:300]!r}"
    report(what, problem)


def credentials():
    for what, headers in {
        "no credentials": {},
        "a wrong key": {"Authorization": "Bearer wrong"},
        "an empty key": {"Authorization": "Bearer "},
        "another scheme": {"Authorization": f"Basic {KEY}"},
        "bytes that are no text": {"Authorization": b"Bearer \xff\xfe\x80"},
        "a very long key": {"Authorization": "Bearer " + "k" * 8000},
    }.items():
        refused(f"{what}: list", [401], "GET", "/api/sandbox", headers)
        refused(f"{what}: create", [401], "POST", "/api/sandbox", {**headers, "Content-Type": "application/json"}, {})
        refused(f"{what}: toolbox", [401], "GET", f"/toolbox/{SANDBOX}/work-dir", headers, base=PROXY, error_body=False)
    refused("401 comes before validation", [401], "POST", "/api/sandbox", {"Content-Type": "application/json"}, {"cpu": "x"})
    refused("401 comes before lookup", [401], "GET", f"/api/sandbox/{UNKNOWN}", {})


def bodies():
    for what, body in {
        "half an object": '{"name": ',
        "no JSON": "name=x",
        "a list": "[]",
        "a number": "7",
        "a text": '"name"',
        "bytes that are no text": b'{"name": "\xff\xfe"}',
        "a thousand levels": "[" * 100_000 + "]" * 100_000,
        "a lone surrogate": '{"name": "\\ud800"}',
    }.items():
        refused(f"create with {what}", [400], "POST", "/api/sandbox", body=body)
    refused("create with 64 MiB", [400, 413], "POST", "/api/sandbox", body=BIG)
    for field, value in [
        ("name", 7), ("labels", []), ("labels", {"a": 1}), ("env", "A=1"), ("env", {"A": 1}), ("public", "yes"),
        ("cpu", "two"), ("cpu", -1), ("memory", -1), ("disk", -1), ("cpu", 1e300), ("gpu", 9), ("autoStopInterval", "x"),
        ("volumes", {}), ("volumes", [{"mountPath": "/x"}]), ("volumes", [{"volumeId": "v"}]), ("snapshot", 7),
        ("snapshot", "no/such:snapshot"), ("networkAllowList", "10.0.0.1"), ("networkAllowList", "everything"),
    ]:
        refused(f"create with {field} {json.dumps(value)}", [400], "POST", "/api/sandbox", body={field: value})
    refused("create with both snapshot and buildInfo", [400], "POST", "/api/sandbox",
            body={"snapshot": "daytonaio/sandbox:v0.185.0-amd64", "buildInfo": {"dockerfileContent": "FROM scratch\n"}})
    refused("a name that is taken", [409], "POST", "/api/sandbox", body={"name": "bystander"})
    refused("labels that are none", [400], "PUT", f"/api/sandbox/{SANDBOX}/labels", body={"labels": ["a"]})


def routes():
    refused("an unknown route", [404], "GET", "/api/no/such/route")
    refused("an unknown method", [404], "PATCH", "/api/sandbox", body={})
    for method, path in [
        ("GET", ""), ("DELETE", ""), ("POST", "/start"), ("POST", "/stop"), ("PUT", "/labels"),
        ("GET", "/ports/3000/preview-url"),
    ]:
        refused(f"{method} {path or '/'} of nobody", [404], method, f"/api/sandbox/{UNKNOWN}{path}", body={"labels": {}})
    for path in ["/ports/0/preview-url", "/ports/65536/preview-url", "/ports/x/preview-url"]:
        refused(path, [400], "GET", f"/api/sandbox/{SANDBOX}{path}")
    for name in ["..%2f..%2fetc%2fpasswd", "%00", "'%20OR%201=1--", "a" * 3000, "%ff%fe"]:
        refused(f"a sandbox called {name[:30]}", [400, 404], "GET", f"/api/sandbox/{name}")


def queries():
    for query in [
        "limit=0", "limit=201", "limit=x", "limit=-1", "cursor=nonsense", "cursor=%00", "labels=%7B", "labels=[]", "states=nowhere",
        "states=destroyed", "sort=colour", "order=sideways", "minCpu=0", "isPublic=perhaps", "createdAtAfter=yesterday",
    ]:
        refused(f"list?{query}", [400], "GET", f"/api/sandbox?{query}")
    # as official clients send it, and the reference takes it
    for base, expected in ((API, 200), (PROXY, 404)):
        status, _ = ask(base, "GET", '/api/sandbox?labels={"a":"<b>"}', AUTHORIZED, None)
        report(f"quotes and angle brackets in a target of {base}", None if status == expected else f"status {status}")


def toolbox():
    def call(what, statuses, method, path, body=None, sandbox=SANDBOX, headers=JSON, error_body=True):
        refused(f"toolbox: {what}", statuses, method, f"/toolbox/{sandbox}{path}", headers, body, PROXY, error_body)

    # who may not enter a sandbox is not told whether there is one (edges §1.4)
    call("an unknown sandbox", [401], "GET", "/work-dir", sandbox=UNKNOWN)
    call("an unknown route", [404], "GET", "/no/such/route", error_body=False)
    call("no command", [400], "POST", "/process/execute", {})
    call("an empty command", [400], "POST", "/process/execute", {"command": "  "})
    call("a wrong timeout", [400], "POST", "/process/execute", {"command": "true", "timeout": "soon"})
    call("a negative timeout", [400], "POST", "/process/execute", {"command": "true", "timeout": -1})
    call("a wrong variable name", [400], "POST", "/process/execute", {"command": "true", "envs": {"A-B": "1"}})
    call("half an object", [400], "POST", "/process/execute", '{"command": ')
    call("an unknown language", [400], "POST", "/process/code-run", {"code": "x", "language": "cobol"})
    call("no path", [400], "GET", "/files/info")
    call("no file", [400], "POST", "/files/upload?path=/tmp/x", b"nothing", headers={**AUTHORIZED, "Content-Type": "text/plain"})
    call("an upload without its form", [400], "POST", "/files/bulk-upload", b"--x\r\n",
         headers={**AUTHORIZED, "Content-Type": "multipart/form-data; boundary=x"})
    for path in ["/.harbor/configure", "/%2eharbor/configure", "/x/../.harbor/configure", "//.harbor/configure"]:
        call(f"harbor's own {path}", [400, 401, 403, 404], "POST", path, {"protocol": 1, "sandbox": SANDBOX, "token": "mine"})


def early():
    """An answer that is ready before all of the body was sent reaches the client, every time."""
    for method, path, statuses in [
        ("POST", "/nowhere", [404]), ("PUT", "/process/execute", [404, 405]), ("POST", "/files/upload", [400]),
    ]:
        seen = set()
        for _ in range(25):
            try:
                seen.add(ask(PROXY, method, f"/toolbox/{SANDBOX}{path}", JSON, b"x" * 1_000_000)[0])
            except OSError as error:
                seen.add(repr(error))
        report(f"{method} {path} with 1 MB, 25 times", None if seen <= set(statuses) else f"answered {seen}")


def raw(what, data, base, expected=(b"HTTP/1.1 4", b"")):
    """Bytes that are no request: an error or a closed connection, soon."""
    address = urlsplit(base)
    started = time.monotonic()
    try:
        with socket.create_connection((address.hostname, address.port), timeout=15) as connection:
            connection.sendall(data)
            with contextlib.suppress(OSError):  # the other side may have hung up
                connection.shutdown(socket.SHUT_WR)
            answer = b""
            while chunk := connection.recv(65536):
                answer += chunk
    except (ConnectionResetError, BrokenPipeError):
        answer = b""
    except OSError as error:
        report(what, f"{error!r} after {time.monotonic() - started:.1f} s")
        return
    report(what, None if any(answer.startswith(start) and bool(start) == bool(answer) for start in expected) else repr(answer[:200]))


def wire():
    for name, base in (("api", API), ("proxy", PROXY)):
        raw(f"{name}: no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200), base)
        raw(f"{name}: a line without end", b"GET /" + b"a" * 300_000, base)
        raw(f"{name}: endless headers", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Y: z\r\n" * 60_000, base)
        raw(f"{name}: two lengths",
            b"POST /api/sandbox HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}", base)
        raw(f"{name}: a body that never comes",
            b"POST /api/sandbox HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + KEY.encode()
            + b"\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{", base)
        raw(f"{name}: a broken chunk",
            b"POST /api/sandbox HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer " + KEY.encode()
            + b"\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", base)
        raw(f"{name}: no host", b"GET /api/sandbox HTTP/1.1\r\n\r\n", base)
    held = []
    for _ in range(300):  # half-open connections must not keep others out
        address = urlsplit(API)
        connection = socket.create_connection((address.hostname, address.port), timeout=10)
        connection.sendall(b"GET /api/sandbox HTTP/1.1\r\nHost: x\r\n")
        held.append(connection)
    status, _ = ask(API, "GET", "/api/sandbox", AUTHORIZED, None)
    report("300 half-open requests keep nobody out", None if status == 200 else f"status {status}")
    for connection in held:
        connection.close()


for group in (credentials, bodies, routes, queries, toolbox, early, wire):
    group()
print(f"{passed} passed, {failed} failed")
sys.exit(failed > 0)
