"""Pulling: blobs and manifests whole, in ranges and by their heads, what is not there, and damaged requests."""

import contextlib
import re
import socket

from counts import check, equal, finish, part
from registry import DOCKER_IMAGE, HOST, NOTHING, OCI_IMAGE, OPEN, ask, connect, digest_of, open_connection, push_blob
from registry import push_image, random_blob, read_answer, refused, repository, send, survived

name = repository()
image = push_image(name, "v1", "v2", kind=DOCKER_IMAGE)
DATA = random_blob(100_000)
blob = f"/v2/{name}/blobs/{push_blob(name, DATA)}"
manifests = f"/v2/{name}/manifests"


def described(what, answer, data, media_type=None):
    """Counts whether headers tell of these bytes."""
    equal(f"{what}: status", 200, answer.status)
    equal(f"{what}: length", str(len(data)), answer.headers["Content-Length"])
    equal(f"{what}: digest", digest_of(data), answer.headers["Docker-Content-Digest"])
    if media_type:
        equal(f"{what}: media type", media_type, answer.headers["Content-Type"])


with part("the base"):
    answer = ask("GET", "/v2/")
    equal("it is a registry", 200, answer.status)
    equal("of this version", "registry/2.0", answer.headers["Docker-Distribution-Api-Version"])
    equal("its body is an empty document", {}, answer.json)
    equal("a head of it", (200, b""), ask("HEAD", "/v2/")[::2])
    check("without the last slash it is had or points there", ask("GET", "/v2").status in (200, 301, 307, 308))
    answer = ask("GET", "/healthz")
    equal("it is in health", (200, b"ok"), (answer.status, answer.body.strip()))
    answer = ask("GET", "/v1/")
    check("there is no first version of the API", answer.status == 404, answer)

with part("blobs"):
    answer = ask("GET", blob)
    described("a blob", answer, DATA)
    check("a blob is what was pushed", answer.body == DATA, answer.body[:100])
    equal("a blob has the version of the API", "registry/2.0", answer.headers["Docker-Distribution-Api-Version"])
    answer = ask("HEAD", blob)
    described("the head of a blob", answer, DATA)
    equal("the head of a blob has no body", b"", answer.body)
    for accepted in "application/json", "text/plain;q=0.1":
        equal(f"a blob is had by who accepts {accepted}", 200, ask("GET", blob, Accept=accepted).status)
    answer = ask("GET", blob, Accept_Encoding="gzip, deflate, br, zstd")
    check("a blob is not compressed once more", answer.body == DATA and answer.headers["Content-Encoding"] is None, answer)
    equal("what is in the query is overlooked", 200, ask("GET", f"{blob}?ns=docker.io").status)
    config = ask("GET", f"/v2/{name}/blobs/{digest_of(image.config)}")
    equal("a blob of JSON comes as it is", image.config, config.body)

with part("ranges"):
    size = len(DATA)
    for told, first, last in [
        ("bytes=0-0", 0, 0), ("bytes=0-99", 0, 99), ("bytes=5000-5999", 5000, 5999),
        (f"bytes={size - 1}-", size - 1, size - 1), ("bytes=40000-", 40_000, size - 1),
        ("bytes=-1", size - 1, size - 1), ("bytes=-1000", size - 1000, size - 1),
        (f"bytes=99000-{size + 5}", 99_000, size - 1), (f"bytes=-{size * 2}", 0, size - 1),
        (f"bytes=0-{size - 1}", 0, size - 1), ("bytes=10-18446744073709551615", 10, size - 1),
    ]:  # fmt: skip
        answer = ask("GET", blob, Range=told)
        found = answer.status, answer.headers["Content-Range"], answer.headers["Content-Length"], answer.body
        equal(told, (206, f"bytes {first}-{last}/{size}", str(last - first + 1), DATA[first : last + 1]), found)
    for told in f"bytes={size}-", f"bytes={size}-{size + 10}", "bytes=-0", "bytes=99999999999-":
        answer = ask("GET", blob, Range=told)
        found = answer.status, answer.headers["Content-Range"]
        equal(f"{told} is beyond the end", (416, f"bytes */{size}"), found)
    for told in (
        "bytes=9-5",
        "bytes=",
        "bytes=a-b",
        "bytes=-",
        "lines=0-5",
        "0-5",
        "bytes=5",
        "bytes=99999999999999999999999-",
    ):
        answer = ask("GET", blob, Range=told)
        good = answer.status in (400, 416) or (answer.status == 200 and answer.body == DATA)
        check(f"{told!r} is no range: the whole, or an error of the client", good, answer)
    answer = ask("GET", blob, Range="bytes=0-9,20-29")
    kind = answer.headers["Content-Type"] or ""
    if answer.status == 206 and kind.startswith("multipart/byteranges"):
        good = DATA[:10] in answer.body and DATA[20:30] in answer.body and len(answer.body) < 1000
    else:
        good = (answer.status == 200 and answer.body == DATA) or answer.status == 416
    check("several ranges are answered with all of them, the whole or a refusal", good, answer)
    answer = ask("GET", blob, Range="bytes=" + ",".join(f"{at}-{at}" for at in range(0, 2000, 2)))
    check("a thousand ranges are no trouble", answer.status in (200, 206, 400, 416, 431), answer)
    answer = ask("GET", blob, Range="bytes=10-19", If_Range='"something else"')
    check("a range of another version is not had", answer.status == 200 and answer.body == DATA, answer)
    answer = ask("HEAD", blob, Range="bytes=10-19")
    check("a range of a head is not needed", answer.status in (200, 206) and answer.body == b"", answer)
    check("ranges are told of", ask("HEAD", blob).headers["Accept-Ranges"] == "bytes", ask("HEAD", blob).headers)

with part("manifests"):
    for what, reference in {"a tag": "v1", "another tag": "v2", "a digest": image.digest}.items():
        answer = ask("GET", f"{manifests}/{reference}")
        described(f"a manifest by {what}", answer, image.manifest, DOCKER_IMAGE)
        equal(f"a manifest by {what} is what was pushed", image.manifest, answer.body)
        answer = ask("HEAD", f"{manifests}/{reference}")
        described(f"the head of a manifest by {what}", answer, image.manifest, DOCKER_IMAGE)
        equal(f"the head of a manifest by {what} has no body", b"", answer.body)
    for accepted in "*/*", f"{OCI_IMAGE}, {DOCKER_IMAGE}", DOCKER_IMAGE:
        described(
            f"a manifest accepted as {accepted}",
            ask("GET", f"{manifests}/v1", Accept=accepted),
            image.manifest,
            DOCKER_IMAGE,
        )
    answer = ask("GET", f"{manifests}/sha256%3A{image.digest[7:]}")
    equal("the colon of a digest may be escaped", (200, image.manifest), (answer.status, answer.body))
    oci = push_image(name, "oci")
    described("an OCI manifest", ask("GET", f"{manifests}/oci"), oci.manifest, OCI_IMAGE)

with part("what is not there"):
    nowhere = repository()
    for what, code, target in [
        ("a tag", "MANIFEST_UNKNOWN", f"{manifests}/missing"),
        ("a manifest", "MANIFEST_UNKNOWN", f"{manifests}/{NOTHING}"),
        ("a blob", "BLOB_UNKNOWN", f"/v2/{name}/blobs/{NOTHING}"),
        ("a blob of manifests", "MANIFEST_UNKNOWN", f"{manifests}/{blob[-71:]}"),
        ("tags of a repository", "NAME_UNKNOWN", f"/v2/{nowhere}/tags/list"),
    ]:  # fmt: skip
        refused(f"{what} that is not there", 404, code, ask("GET", target))
        answer = ask("HEAD", target)
        good = answer.status in (404, 405) if what.startswith("tags") else answer.status == 404
        check(f"the head of {what} that is not there", good and answer.body == b"", answer)
    for target in (
        f"/v2/{nowhere}/manifests/v1",
        f"/v2/{nowhere}/blobs/{digest_of(DATA)}",
        f"/v2/{nowhere}/blobs/{image.digest}",
    ):
        codes = "NAME_UNKNOWN", "MANIFEST_UNKNOWN", "BLOB_UNKNOWN"
        refused(f"nothing is in a repository that is not there: {target[4:]}", 404, codes, ask("GET", target))
    answer = ask("GET", f"/v2/{name.rpartition('/')[0]}/manifests/v1")
    check("a part of a name is another repository", answer.status == 404, answer)
    for target in "/v2/_catalogue", f"/v2/{name}", f"/v2/{name}/", f"/v2/{name}/tags", f"/v2/{name}/manifests/":
        answer = ask("GET", target)
        check(f"there is nothing at {target}", answer.status in (404, 405), answer)

with part("names that are none"):
    for bad in [
        "UPPER/app", "a//b", "-a/b", "a-/b", "a/-b", "a..b", "a___b", "a._b", "_a", "a_", ".a", "a/.b", "a%20b",
        "%C3%A4/b", "a:b", "a@b", "a" * 300, "a/" * 130 + "b", "a%2500", "a*b", "a\\b",
    ]:  # fmt: skip
        answer = ask("GET", f"/v2/{bad}/manifests/v1")
        good = answer.status in (400, 404) and set(answer.codes) <= {
            "NAME_INVALID",
            "NAME_UNKNOWN",
            "MANIFEST_UNKNOWN",
            "UNSUPPORTED",
        }
        check(f"no repository has the name {bad[:30]}", good, answer)
        answer = ask("POST", f"/v2/{bad}/blobs/uploads/")
        check(f"nothing is pushed to the name {bad[:30]}", answer.status in (400, 404), answer)
    for good in (
        "a",
        "a.b/c_d/e__f/g---h",
        "0",
        "a/b/c/d/e/f/g/h/i/j/k",
        "x" * 128,
        "manifests/blobs",
        "tags/list",
        "v2/v2",
        "a/blobs/uploads",
    ):
        answer = ask("GET", f"/v2/{good}/manifests/v1")
        refused(f"a repository may have the name {good[:30]}", 404, ["MANIFEST_UNKNOWN", "NAME_UNKNOWN"], answer)

with part("digests that are none"):
    for bad in [
        "sha256:", "sha256:abc", "sha256:" + "g" * 64, "sha256:" + "A" * 64, "sha256:" + "0" * 63, "sha256:" + "0" * 65,
        "md5:" + "0" * 32, "0" * 64, ":" + "0" * 64, "sha256:../../../../etc/passwd",
        "sha256:..%2f..%2f..%2fetc%2fpasswd", "sha256:" + "%00" * 64, "sha256:" + "0" * 5000, "SHA256:" + "0" * 64,
        "sha512:" + "0" * 64, "latest",
    ]:  # fmt: skip
        for method in "GET", "HEAD", "DELETE":
            answer = ask(method, f"/v2/{name}/blobs/{bad}")
            check(f"{method} of no digest {bad[:30]}", answer.status in (400, 404), answer)
        allowed = {"DIGEST_INVALID", "BLOB_UNKNOWN", "NAME_UNKNOWN", "NAME_INVALID", "UNSUPPORTED"}
        check(f"what is said of no digest {bad[:30]}", set(ask("GET", f"/v2/{name}/blobs/{bad}").codes) <= allowed)
    for bad in ".dot", "-dash", "a" * 129, "a+b", "a%20b", "a%2Fb", "sha256:abc", "a:b", "%00", "%FF":
        answer = ask("GET", f"{manifests}/{bad}")
        check(f"no manifest has the reference {bad[:30]}", answer.status in (400, 404), answer)

with part("one connection after the other"):
    connection = open_connection()
    for method, target, expected, body in [
        ("HEAD", blob, 200, b""), ("GET", f"{manifests}/v1", 200, image.manifest),
        ("HEAD", f"{manifests}/v1", 200, b""), ("HEAD", f"{manifests}/missing", 404, b""),
        ("HEAD", f"/v2/{name}/blobs/{NOTHING}", 404, b""), ("GET", blob, 200, DATA),
        ("GET", f"{manifests}/missing", 404, None), ("GET", "/v2/", 200, None),
    ]:  # fmt: skip
        answer = ask(method, target, connection=connection)
        good = expected in (None, answer.status) and body in (None, answer.body)
        check(f"{method} {target[-30:]} on a connection that stays", good, answer)
        check("and it stays", connection.sock is not None, answer.headers)
    answer = ask("HEAD", "/v2/UPPER/manifests/v1", connection=connection)
    equal("the head of what is no name has no body", b"", answer.body)
    equal("whether it stays or not, another request is answered", DATA, ask("GET", blob, connection=connection).body)
    connection.close()
    for what, target in {
        "a blob": blob, "a manifest": f"{manifests}/v1", "a blob that is not there": f"/v2/{name}/blobs/{NOTHING}",
        "a tag that is not there": f"{manifests}/missing", "what is no name": "/v2/UPPER/manifests/v1",
        "a path of nothing": "/v2/x/none",
    }.items():  # fmt: skip
        with connect() as first:
            first.sendall(f"HEAD {target} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            received = b""
            while b"\r\n\r\n" not in received and (piece := first.recv(65536)):
                received += piece
            first.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                received += first.recv(65536)
            head, _, rest = received.partition(b"\r\n\r\n")
            equal(f"the head of {what}, first on a connection: no body follows", b"", rest)
            check(f"the head of {what}: nothing is said of an end", b"connection: close" not in head.lower(), head)
            first.settimeout(10)
            first.sendall(f"GET {blob} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
            answer = read_answer(first)
            equal(f"the head of {what}: the next request is answered", (200, DATA), (answer.status, answer.body))
    head = f"HEAD {blob} HTTP/1.1\r\nHost: {HOST}\r\n\r\n"
    with connect() as pipe:
        pipe.sendall((head + f"GET {manifests}/v1 HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n\r\n").encode())
        received = b""
        while piece := pipe.recv(65536):
            received += piece
    equal("two requests at once: two answers", 2, len(re.findall(rb"HTTP/1\.1 200 OK\r\n", received)))
    check(
        "two requests at once: no body in between",
        received.count(image.manifest) == 1 and received.endswith(image.manifest),
    )
    with connect() as pipe:
        pipe.sendall(f"GET {blob} HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
        answer = read_answer(pipe)
        equal("who speaks HTTP 1.0 has it too", (200, DATA), (answer.status, answer.body))

with part("damaged requests"):
    line = f"GET /v2/{name}/manifests/v1 HTTP/1.1\r\nHost: {HOST}\r\n"
    for what, data in {
        "a line that is no request": b"hello\r\n\r\n",
        "a NUL in the path": f"GET /v2/a\0b/manifests/v1 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode(),
        "bytes that are no text": b"GET /v2/\xff\xfe/manifests/v1 HTTP/1.1\r\nHost: " + HOST.encode() + b"\r\n\r\n",
        "a header without a colon": f"{line}nothing\r\n\r\n".encode(),
        "a NUL in a header": f"{line}X-A: a\0b\r\n\r\n".encode(),
        "a length that is no number": line.replace("GET", "PUT").encode() + b"Content-Length: many\r\n\r\n",
        "a negative length": line.replace("GET", "PUT").encode() + b"Content-Length: -5\r\n\r\n",
        "two lengths": line.replace("GET", "PUT").encode() + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef",
        "a header of a megabyte": line.encode() + b"X-Long: " + b"a" * 1_000_000 + b"\r\n\r\n",
        "an endless header": line.encode() + b"X-Endless: " + b"a" * 4_000_000,
        "a target of a megabyte": b"GET /v2/" + b"a" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
        "ten thousand headers": line.encode() + b"".join(b"X-%d: a\r\n" % at for at in range(10_000)) + b"\r\n",
        "no host": f"GET /v2/{name}/manifests/v1 HTTP/1.1\r\n\r\n".encode(),
        "a chunk that is none": line.replace("GET", "PUT").replace("v1", "x").encode()
        + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n",
    }.items():  # fmt: skip
        with part(what):
            survived(what, send(data))
    for bad in (
        "%",
        "%2",
        "%zz",
        "%00",
        "%ff",
        "%2e%2e",
        "..",
        "%2e%2e%2f%2e%2e%2fetc",
        "..%2f..%2f..%2fetc%2fpasswd",
        "%0d%0aX-Bad:%201",
        "%252e%252e",
    ):
        survived(f"{bad} as a name", ask("GET", f"/v2/{bad}/manifests/v1"))
        survived(f"{bad} in a name", ask("GET", f"/v2/a/{bad}/manifests/v1"))
        survived(f"{bad} as a tag", ask("GET", f"{manifests}/{bad}"))
        survived(f"{bad} as a digest", ask("GET", f"/v2/{name}/blobs/sha256:{bad}"))
    for path in (
        f"/v2/../v2/{name}/manifests/v1",
        f"/v2/a/../{name}/manifests/v1",
        f"/v2//{name}/manifests/v1",
        f"//v2/{name}/manifests/v1",
    ):
        answer = ask("GET", path)
        check(f"{path[:12]} is not put right in silence", answer.status != 200 or answer.body == image.manifest, answer)
        check(f"{path[:12]} is no failure of the server", answer.status < 500, answer)
    silent = connect(OPEN)
    silent.sendall(line.encode())
    equal("somebody who never ends its request keeps nobody waiting", 200, ask("GET", "/v2/").status)
    silent.shutdown(socket.SHUT_RDWR)
    silent.close()
    with connect() as hasty:
        hasty.sendall(f"GET {blob} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    check("somebody who does not read its answer harms nothing", ask("GET", blob).body == DATA)

finish()
