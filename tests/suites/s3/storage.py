"""The S3 endpoint that is tested, clients for it, and requests down to the byte.

HARBOR_TEST_S3_URL says where, with http or https; HARBOR_TEST_S3_AUTHORITY is the file with the authority's certificate
for https; HARBOR_TEST_S3_ACCESS_KEY and HARBOR_TEST_S3_SECRET are the owner's. Every program makes buckets of its own
and removes them at its end, and says `N passed, N failed` in its last line.
"""

import atexit
import base64
import contextlib
import hashlib
import hmac
import http.client
import os
import re
import socket
import ssl
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError
from counts import check

URL = os.environ["HARBOR_TEST_S3_URL"]
AUTHORITY = os.environ.get("HARBOR_TEST_S3_AUTHORITY") or None
ACCESS_KEY = os.environ["HARBOR_TEST_S3_ACCESS_KEY"]
SECRET = os.environ["HARBOR_TEST_S3_SECRET"]
REGION = "us-east-1"
ADDRESS = urlsplit(URL)
HOST = ADDRESS.netloc
PATIENCE = 60 * int(os.environ.get("HARBOR_TEST_PATIENCE", "1"))  # seconds for one request
UNSIGNED = "UNSIGNED-PAYLOAD"
MIB = 1024 * 1024

_resolve = socket.getaddrinfo


def _resolve_here(host: Any, *rest: Any, **named: Any) -> Any:
    """A bucket's own name below localhost is the loopback, which not every resolver knows."""
    return _resolve("localhost" if isinstance(host, str) and host.endswith(".localhost") else host, *rest, **named)


socket.getaddrinfo = _resolve_here


def refused(what: str, expected: str | Iterable[str], call: Callable[..., Any], *arguments: Any, **named: Any) -> None:
    """Counts whether a call of boto3 fails with one of these error codes, or with one of these statuses where the answer
    has no body."""
    wanted = [expected] if isinstance(expected, str) else list(expected)
    try:
        call(*arguments, **named)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        check(what, code in wanted, f"expected {wanted}, got {error} ({error.response['ResponseMetadata']['HTTPStatusCode']})")
    else:
        check(what, False, f"expected {wanted}, and it succeeded")


# --- clients ---


def client(
    key: str = ACCESS_KEY, secret: str = SECRET, token: str | None = None, *, url: str = URL, style: str = "path", **options: Any
) -> Any:
    """A client as boto3 makes it by itself, with one attempt instead of many."""
    config = Config(
        signature_version=options.pop("signature_version", "s3v4"), s3={"addressing_style": style},
        retries={"total_max_attempts": 1}, read_timeout=PATIENCE, max_pool_connections=32, **options,
    )  # fmt: skip
    session = boto3.session.Session(key, secret, token, region_name=REGION)
    return session.client("s3", endpoint_url=url, verify=AUTHORITY or True, config=config)


def bucket_name() -> str:
    """A name that nothing else has."""
    return f"test-{uuid.uuid4().hex[:16]}"


def bucket(s3: Any) -> str:
    """A new bucket, gone with all that is in it when the program ends."""
    name = bucket_name()
    s3.create_bucket(Bucket=name)
    atexit.register(remove_bucket, s3, name)
    return name


def remove_bucket(s3: Any, name: str) -> None:
    """Removes it with uploads and objects; one that is gone is fine."""
    with contextlib.suppress(ClientError):
        for upload in s3.list_multipart_uploads(Bucket=name).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
        for key in all_keys(s3, name):
            s3.delete_object(Bucket=name, Key=key)
        s3.delete_bucket(Bucket=name)


def all_keys(s3: Any, name: str) -> list[str]:
    """What the second kind of list says, page by page."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=name)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def content(s3: Any, name: str, key: str, **options: Any) -> bytes | None:
    """The bytes of an object, or nothing where none is."""
    try:
        return s3.get_object(Bucket=name, Key=key, **options)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise


def etag(data: bytes) -> str:
    """The entity tag of an object that was put in one piece."""
    return f'"{hashlib.md5(data).hexdigest()}"'


# --- requests down to the byte ---


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def code(self) -> str:
        """The code of an error, or the status where the body has none."""
        found = re.search(rb"<Code>([^<]+)</Code>", self.body)
        return found[1].decode() if found else str(self.status)


def sha256(data: bytes) -> str:
    """In hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def base64_of(data: bytes) -> str:
    """As headers carry it."""
    return base64.b64encode(data).decode()


def stamp(at: datetime | None = None) -> str:
    """A time as signatures write it; now by default."""
    return (at or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")


class Signature:
    """A signature of the fourth version over one request, which also signs the chunks that follow it.

    `path` and `query` are plain text; `target` is what stands in the request line. `headers` holds all that is to be sent.
    """

    def __init__(
        self, method: str, path: str, query: Iterable[tuple[str, str]] = (), headers: dict[str, str] | None = None, *,
        payload: str, key: str = ACCESS_KEY, secret: str = SECRET, token: str | None = None, at: datetime | None = None,
        region: str = REGION, service: str = "s3", host: str = HOST, scope_day: str | None = None,
    ) -> None:  # fmt: skip
        self.stamp = stamp(at)
        self.scope = f"{scope_day or self.stamp[:8]}/{region}/{service}/aws4_request"
        self.headers = {"host": host, "x-amz-date": self.stamp, "x-amz-content-sha256": payload}
        self.headers.update({name.lower(): value for name, value in (headers or {}).items()})
        if token:
            self.headers["x-amz-security-token"] = token
        names = sorted(name for name in self.headers if name not in ("expect", "content-length", "transfer-encoding", "connection"))
        escaped = sorted((quote(name, safe="~"), quote(value, safe="~")) for name, value in query)
        self.query = "&".join(f"{name}={value}" for name, value in escaped)
        self.path = quote(path, safe="/~")
        self.target = f"{self.path}?{self.query}" if self.query else self.path
        lines = [f"{name}:{' '.join(self.headers[name].split())}\n" for name in names]
        request = "\n".join([method, self.path, self.query, "".join(lines), ";".join(names), payload])
        self.key = f"AWS4{secret}".encode()
        for step in self.scope.split("/"):
            self.key = hmac.digest(self.key, step.encode(), "sha256")
        self.last = self.sign(f"AWS4-HMAC-SHA256\n{self.stamp}\n{self.scope}\n{sha256(request.encode())}")
        self.headers["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={key}/{self.scope}, SignedHeaders={';'.join(names)}, Signature={self.last}"
        )

    def sign(self, text: str) -> str:
        """A signature with the key of this request."""
        return hmac.digest(self.key, text.encode(), "sha256").hex()

    def chunk(self, data: bytes) -> bytes:
        """One chunk of a body that is signed by chunks; an empty one ends it."""
        text = ["AWS4-HMAC-SHA256-PAYLOAD", self.stamp, self.scope, self.last, sha256(b""), sha256(data)]
        self.last = self.sign("\n".join(text))
        return f"{len(data):x};chunk-signature={self.last}\r\n".encode() + data + b"\r\n"

    def trailer(self, lines: str) -> bytes:
        """Headers after the last chunk, such as `x-amz-checksum-crc32:…`, with their signature."""
        text = ["AWS4-HMAC-SHA256-TRAILER", self.stamp, self.scope, self.last, sha256(f"{lines}\n".encode())]
        return f"{lines}\r\nx-amz-trailer-signature:{self.sign(chr(10).join(text))}\r\n\r\n".encode()


def connect(timeout: float = PATIENCE) -> socket.socket:
    """A connection to the endpoint, encrypted if its address says so."""
    plain = socket.create_connection((ADDRESS.hostname, ADDRESS.port), timeout=timeout)
    if ADDRESS.scheme != "https":
        return plain
    return ssl.create_default_context(cafile=AUTHORITY).wrap_socket(plain, server_hostname=ADDRESS.hostname)


def head(method: str, target: str, headers: dict[str, str]) -> bytes:
    """The first lines of a request."""
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    return "\r\n".join(lines).encode()


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """The answer on a connection, after any `100 Continue`."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, response.headers, response.read())


def send(method: str, target: str, headers: dict[str, str], body: bytes = b"") -> Answer:
    """One request with exactly these bytes. Who answers before all was read may close: the answer counts."""
    with connect() as connection:
        connection.sendall(head(method, target, headers))
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            connection.sendall(body)
        return read_answer(connection, method)


def ask(
    method: str, path: str, query: Iterable[tuple[str, str]] = (), headers: dict[str, str] | None = None, body: bytes = b"", *,
    payload: str | None = None, target: str | None = None, after: dict[str, str | None] | None = None, **signed: Any,
) -> Answer:  # fmt: skip
    """A signed request. `after` changes, adds or (with None) removes headers when it is already signed, `target` what
    stands in its first line."""
    sent = {"content-length": str(len(body)), "connection": "close", **(headers or {})}
    signature = Signature(method, path, query, sent, payload=payload or sha256(body), **signed)
    final = {**signature.headers, **(after or {})}
    final = {name: value for name, value in final.items() if value is not None}
    return send(method, target or signature.target, final, body)


def answered(what: str, expected: str | Iterable[str], answer: Answer) -> None:
    """Counts whether a request was answered with one of these error codes or statuses."""
    wanted = [expected] if isinstance(expected, str) else list(expected)
    check(what, answer.code in wanted or str(answer.status) in wanted, f"expected {wanted}, got {answer.status} {answer.body[:300]!r}")
