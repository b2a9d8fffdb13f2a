"""Bodies as clients send them, and as they break: chunks, trailers, `Expect`, cut connections, odd targets."""

import contextlib
import http.client
import os
import socket
import time
import zlib

from counts import check, equal, finish, part
from storage import ADDRESS, HOST, MIB, PATIENCE, UNSIGNED, Signature, all_keys, answered, ask, base64_of, bucket
from storage import client, connect, content, head, read_answer, send, sha256

s3 = client()
name = bucket(s3)
OLD, DATA = b"old", os.urandom(200_000)
CHUNKS = [DATA[:65536], DATA[65536:131072], DATA[131072:]]
SIGNED, WITH_TRAILER, UNSIGNED_TRAILER = (
    "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
)  # fmt: skip
CRC = f"x-amz-checksum-crc32:{base64_of(zlib.crc32(DATA).to_bytes(4, 'big'))}"
WRONG_CRC = "x-amz-checksum-crc32:AAAAAA=="


def plain(*chunks):
    """Chunks without signatures, before their trailer."""
    return b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks) + b"0\r\n"


def stream(key, kind, make, length=None, **headers):
    """Puts an object whose body is made once its request is signed."""
    length = len(DATA) if length is None else length
    sent = {"x-amz-decoded-content-length": str(length), "content-encoding": "aws-chunked", "connection": "close"}
    sent.update({name.replace("_", "-"): value for name, value in headers.items() if value is not None})
    sent = {name: value for name, value in sent.items() if headers.get(name.replace("-", "_"), value) is not None}
    signature = Signature("PUT", f"/{name}/{key}", (), sent, payload=kind)
    body = make(signature)
    return send("PUT", signature.target, {**signature.headers, "content-length": str(len(body))}, body)


def signed(*chunks):
    return lambda signature: b"".join(signature.chunk(chunk) for chunk in [*chunks, b""])


def trailed(lines, change=lambda trailer: trailer):
    """Signed chunks and a trailer, instead of the line that ends a body without one."""
    return lambda signature: b"".join(signature.chunk(chunk) for chunk in [*CHUNKS, b""])[:-2] + change(signature.trailer(lines))


def unsigned(lines):
    return lambda _: plain(*CHUNKS) + f"{lines}\r\n\r\n".encode()


with part("chunks"):
    declared = {"x_amz_trailer": "x-amz-checksum-crc32"}
    for what, answer in {
        "signed chunks": lambda: stream("stream", SIGNED, signed(*CHUNKS)), "without a word of their encoding": lambda: stream("stream", SIGNED, signed(*CHUNKS), content_encoding=None),
        "one chunk": lambda: stream("stream", SIGNED, signed(DATA)), "signed chunks with a trailer": lambda: stream("stream", WITH_TRAILER, trailed(CRC), **declared),
        "unsigned chunks with a trailer": lambda: stream("stream", UNSIGNED_TRAILER, unsigned(CRC), **declared),
    }.items():  # fmt: skip
        with part(what):
            s3.put_object(Bucket=name, Key="stream", Body=OLD)
            answered(what, "200", answer())
            equal(f"{what}: what was put", DATA, content(s3, name, "stream"))
    answered("another encoding below", "200", stream("stream", SIGNED, signed(*CHUNKS), content_encoding="aws-chunked,gzip"))
    equal("is what remains", "gzip", s3.head_object(Bucket=name, Key="stream").get("ContentEncoding"))
    answered("no other encoding", "200", stream("stream", SIGNED, signed(*CHUNKS)))
    equal("and none remains", "", s3.head_object(Bucket=name, Key="stream").get("ContentEncoding", ""))
    answered("an empty body in chunks", "200", stream("empty/", SIGNED, signed(), 0))
    equal("is empty", b"", content(s3, name, "empty/"))
    # the marker of a directory as minio-go sends it: chunks of HTTP around the last of these chunks, and no length
    signature = Signature("PUT", f"/{name}/marker/", (), {"x-amz-decoded-content-length": "0", "content-type": "application/directory"}, payload=SIGNED)
    last = signature.chunk(b"")
    body = f"{len(last):x}\r\n".encode() + last + b"\r\n0\r\n\r\n"
    answered("chunks in chunks", "200", send("PUT", signature.target, {**signature.headers, "transfer-encoding": "chunked", "connection": "close"}, body))
    equal("are empty", b"", content(s3, name, "marker/"))

with part("broken chunks"):
    s3.put_object(Bucket=name, Key="old", Body=OLD)

    def spoiled(position):
        """Signed chunks with one byte changed."""
        return lambda signature: (lambda body: body[:position] + bytes([body[position] ^ 1]) + body[position + 1 :])(signed(*CHUNKS)(signature))

    refusals = {
        "a changed byte in the first": ("SignatureDoesNotMatch", lambda: stream("old", SIGNED, spoiled(5000))),
        "a changed byte in the last": ("SignatureDoesNotMatch", lambda: stream("old", SIGNED, spoiled(190_000))),
        "chunks in another order": ("SignatureDoesNotMatch", lambda: stream("old", SIGNED, lambda it: (lambda a, b, end: b + a + end)(it.chunk(b"a"), it.chunk(b"b"), it.chunk(b"")), 2)),
        "less than was said": ("IncompleteBody", lambda: stream("old", SIGNED, signed(*CHUNKS[:2]))),
        "more than was said": ("IncompleteBody", lambda: stream("old", SIGNED, signed(*CHUNKS, b"more"))),
        "a trailer that does not fit": ("BadDigest", lambda: stream("old", WITH_TRAILER, trailed(WRONG_CRC), **declared)),
        "an unsigned trailer that does not fit": ("BadDigest", lambda: stream("old", UNSIGNED_TRAILER, unsigned(WRONG_CRC), **declared)),
        "a changed trailer": ("SignatureDoesNotMatch", lambda: stream("old", WITH_TRAILER, trailed(CRC, lambda it: it.replace(b"signature:", b"signature:0")[:-1]), **declared)),
        "no trailer where one was promised": ("MalformedTrailerError", lambda: stream("old", UNSIGNED_TRAILER, lambda _: plain(*CHUNKS) + b"\r\n", **declared)),
    }  # fmt: skip
    for what, (code, call) in refusals.items():
        with part(what):
            s3.put_object(Bucket=name, Key="old", Body=OLD)
            answer = call()
            # the code is what Amazon says; that it is the client's mistake is what matters
            check(what, answer.code == code or answer.status in (400, 403), f"{answer.status} {answer.code}")
            equal(f"{what}: what was there stays", OLD, content(s3, name, "old"))
    for what, body in {"no size": b"zz\r\n\r\n", "a size below nothing": b"-5\r\nhello\r\n0\r\n\r\n", "an endless size": b"f" * 5000, "a size beyond numbers": b"ffffffffffffffffff\r\nx",
                       "no ends of lines": b"5 hello 0", "an endless extension": b"5;" + b"x" * 300_000, "a thousand trailers": b"0\r\n" + b"x-y: z\r\n" * 100_000 + b"\r\n"}.items():  # fmt: skip
        with part(what):
            s3.put_object(Bucket=name, Key="old", Body=OLD)
            for kind in (SIGNED, UNSIGNED_TRAILER):
                answer = stream("old", kind, lambda _, body=body: body, 5)
                check(f"chunks with {what}", 400 <= answer.status < 500, answer.status)
            equal(f"chunks with {what}: what was there stays", OLD, content(s3, name, "old"))

with part("a body that is not signed"):
    answered("it is taken", "200", ask("PUT", f"/{name}/unsigned", body=DATA, payload=UNSIGNED))
    equal("as it is", DATA, content(s3, name, "unsigned"))

with part("Expect"):
    for what, secret, expected in (("right", {}, "200"), ("wrong", {"secret": "x"}, "SignatureDoesNotMatch")):
        signature = Signature("PUT", f"/{name}/expect-{what}", payload=sha256(DATA), **secret)
        with connect() as connection:
            connection.sendall(head("PUT", signature.target, {**signature.headers, "expect": "100-continue", "content-length": str(len(DATA))}))
            first = connection.recv(4096, *([] if hasattr(connection, "cipher") else [socket.MSG_PEEK]))
            # who signs wrongly may be told at once, or asked for the body first
            check(f"{what}: the first word", first[:12] in (b"HTTP/1.1 100", *([] if what == "right" else [b"HTTP/1.1 403"])), first[:12])
            if first[:12] == b"HTTP/1.1 100":
                connection.sendall(DATA)
                answered(f"{what}: the last word", expected, read_answer(connection, "PUT"))
    equal("what was put", (DATA, None), (content(s3, name, "expect-right"), content(s3, name, "expect-wrong")))


def cut(key, query=(), sent=100_000, end=socket.socket.close):
    """Begins to put an object and stops in the middle of its body."""
    signature = Signature("PUT", f"/{name}/{key}", query, payload=sha256(DATA))
    with connect() as connection:
        connection.sendall(head("PUT", signature.target, {**signature.headers, "content-length": str(len(DATA))}) + DATA[:sent])
        time.sleep(0.2)
        end(connection)
        # half closed, an encrypted connection cannot be read any more
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            return read_answer(connection, "PUT")


with part("what is cut"):
    before = all_keys(s3, name)
    s3.put_object(Bucket=name, Key="old", Body=OLD)
    for sent in (0, 1, 100_000, len(DATA) - 1):
        cut("old", sent=sent)
        cut("new", sent=sent)
    answer = cut("old", end=lambda connection: connection.shutdown(socket.SHUT_WR))
    check("half closed it is no success", answer is None or answer.status >= 400, answer)
    time.sleep(0.5)
    equal("what was there stays", OLD, content(s3, name, "old"))
    equal("where none was none is", None, content(s3, name, "new"))
    equal("none is listed", before, all_keys(s3, name))
    upload = {"Bucket": name, "Key": "parts", "UploadId": s3.create_multipart_upload(Bucket=name, Key="parts")["UploadId"]}
    s3.upload_part(**upload, PartNumber=1, Body=OLD)
    for number in (1, 2):
        cut("parts", [("partNumber", str(number)), ("uploadId", upload["UploadId"])])
    time.sleep(0.5)
    equal("no part is there but the first", [(1, 3)], [(one["PartNumber"], one["Size"]) for one in s3.list_parts(**upload)["Parts"]])
    s3.abort_multipart_upload(**upload)
    with contextlib.suppress(OSError):
        for _ in range(5):  # who reads slowly, and goes
            signature = Signature("GET", f"/{name}/unsigned", payload=sha256(b""))
            with connect() as connection:
                connection.sendall(head("GET", signature.target, signature.headers))
                connection.recv(1000)
    equal("whoever comes next is served", DATA, content(s3, name, "unsigned"))

with part("while it comes"):
    signature = Signature("PUT", f"/{name}/old", payload=sha256(DATA))
    with connect() as connection:
        connection.sendall(head("PUT", signature.target, {**signature.headers, "content-length": str(len(DATA))}) + DATA[:-1])
        time.sleep(0.3)
        equal("the old one is there", OLD, content(s3, name, "old"))
        connection.sendall(DATA[-1:])
        answered("it is taken", "200", read_answer(connection, "PUT"))
        equal("and there at once", DATA, content(s3, name, "old"))

with part("more than was said"):
    s3.put_object(Bucket=name, Key="old", Body=OLD)
    for what, headers in {"two lengths": {"content-length": "3", "Content-Length": "4"}, "a length and chunks": {"content-length": "3", "transfer-encoding": "chunked"},
                          "a length below nothing": {"content-length": "-1"}, "no number": {"content-length": "x"}}.items():  # fmt: skip
        signature = Signature("PUT", f"/{name}/old", payload=UNSIGNED)
        with part(what), contextlib.suppress(ConnectionError):
            # chunks count more than a length (RFC 9112, 6.3); what is no body is refused
            answer = send("PUT", signature.target, {**signature.headers, **headers, "connection": "close"}, b"evil\r\n\r\n")
            check(what, 400 <= answer.status < 500, answer.status)
    equal("what was there stays", OLD, content(s3, name, "old"))

with part("one connection"):
    with connect() as connection:
        for number in range(3):
            for body, expected, extra in ((f"{number}".encode(), "200", {}), (bytes(MIB), "SignatureDoesNotMatch", {"secret": "x"})):
                signature = Signature("PUT", f"/{name}/kept-alive", payload=sha256(body), **extra)
                try:
                    connection.sendall(head("PUT", signature.target, {**signature.headers, "content-length": str(len(body))}) + body)
                    answer = read_answer(connection, "PUT")
                except (ConnectionError, OSError):
                    answer = None
                # after a refusal the rest of the body may be read or the connection closed, but it must not be taken for a request
                check(f"{number}: {expected}", answer and answer.code in (expected, "200"), answer)
                if expected != "200":
                    connection.close()
                    connection = connect()
        connection.close()
    equal("what was put", b"2", content(s3, name, "kept-alive"))

with part("targets"):
    s3.put_object(Bucket=name, Key="old", Body=OLD)
    secret = f"/{name}/../../../../../../../../../../etc/passwd"
    for target in (secret, secret.replace("..", "%2e%2e"), secret.replace("/..", "%2f.."), secret.replace("/", "//"), secret.replace("/", "\\"), "/../../etc/passwd", f"/{name}/..%00/old",
                   f"/{name}/%", f"/{name}/%zz", f"/{name}/%2", "*", "//", "/%2e%2e", f"/{name}/" + "a" * 20_000, f"/{name}?" + "a=b&" * 5000, "/" + "b" * 9000):  # fmt: skip
        for method in ("GET", "DELETE"):
            with part(f"{method} {target[-20:]}"):
                # whether it is signed as it is written or as it is meant
                for path in (target, f"/{name}/old"):
                    try:
                        answer = ask(method, path, target=target)
                    except ConnectionError:
                        continue  # an endless target may be left unread
                    good = b"root:" not in answer.body and (400 <= answer.status < 500 or answer.status == 204)
                    check(f"{method} {target[:30].replace(name, '…')}", good, (answer.status, answer.body[:200]))
    answered("a whole address", ["200"], ask("GET", f"/{name}/old", target=f"http://{HOST}/{name}/old"))
    answer = ask("PUT", f"/{name}/../../../../../../tmp/harbor-escaped-{os.getpid()}", body=b"escaped")
    check("a way out", answer.status == 200 or 400 <= answer.status < 500, answer.status)
    check("leads nowhere", not os.path.exists(f"/tmp/harbor-escaped-{os.getpid()}"))
    equal("what was there stays", OLD, content(s3, name, "old"))
    for method in ("TRACE", "CONNECT", "PATCH", "PROPFIND"):
        with part(method), contextlib.suppress(ConnectionError):
            answer = ask(method, f"/{name}/old")
            check(f"{method} is refused", 400 <= answer.status < 500 or answer.status == 501, answer.status)

with part("no request at all"):
    for what, data in {"nothing": b"", "a line without end": b"GET /" + b"a" * 300_000, "no words": bytes(5000), "half of TLS": b"\x16\x03\x01\x02\x00\x01\x00", "another TLS": b"\x16\x03\x01\x00\x05hello",
                       "endless headers": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X-Y: z\r\n" * 60_000, "an old version": b"GET /\r\n\r\n"}.items():  # fmt: skip
        with socket.create_connection((ADDRESS.hostname, ADDRESS.port), timeout=PATIENCE) as raw:
            started, told = time.monotonic(), b""
            with contextlib.suppress(OSError):
                raw.sendall(data)
                raw.shutdown(socket.SHUT_WR)
                told = raw.recv(4096)
            good = not told or told.startswith((b"HTTP/1.1 4", b"HTTP/1.0 4", b"\x15"))
            check(f"{what} is answered soon", good and time.monotonic() - started < 40, (told[:60], time.monotonic() - started))
    held = [socket.create_connection((ADDRESS.hostname, ADDRESS.port), timeout=30) for _ in range(200)]
    equal("200 silent connections keep nobody out", OLD, content(s3, name, "old"))
    for one in held:
        one.close()
finish()
