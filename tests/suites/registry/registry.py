"""The registry that is tested, requests to it down to the byte, and small images.

HARBOR_TEST_REGISTRY says where it is open to this machine, HARBOR_TEST_REGISTRY_ADDRESS where the same server asks for
a login; HARBOR_TEST_URL is harbor's API and HARBOR_TEST_KEY the administrator's key for both. Every program pushes to
repositories of its own and removes at its end what it pushed, and says `N passed, N failed` in its last line.
"""

import atexit
import base64
import contextlib
import hashlib
import http.client
import json
import os
import re
import socket
import threading
import uuid
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from counts import check

OPEN = os.environ["HARBOR_TEST_REGISTRY"]
CLOSED = os.environ["HARBOR_TEST_REGISTRY_ADDRESS"]
API = os.environ["HARBOR_TEST_URL"]
KEY = os.environ["HARBOR_TEST_KEY"]
HOST = urlsplit(OPEN).netloc
PATIENCE = 60 * int(os.environ.get("HARBOR_TEST_PATIENCE", "1"))  # seconds for one request
MIB = 1024 * 1024

OCI_IMAGE = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
OCI_EMPTY = "application/vnd.oci.empty.v1+json"
DOCKER_IMAGE = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
NOTHING = "sha256:" + "0" * 64  # the digest of nothing that is known


# --- requests ---


class Answer(NamedTuple):
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body as a document."""
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """The codes of a body in the form of errors, which has a message with each; none without that form."""
        try:
            errors = json.loads(self.body)["errors"]
            return [error["code"] for error in errors if isinstance(error["message"], str)]
        except (ValueError, KeyError, TypeError):
            return []

    @property
    def location(self) -> str:
        """Where it points to, as a path with its query."""
        found = urlsplit(self.headers["Location"])
        return found.path + (f"?{found.query}" if found.query else "")

    def __str__(self) -> str:
        return f"{self.status} {self.body[:300]!r} {dict(self.headers)}"


class Login(NamedTuple):
    """A user name and a password."""

    name: str
    secret: str

    @property
    def header(self) -> str:
        """As a request carries it."""
        return "Basic " + base64.b64encode(f"{self.name}:{self.secret}".encode()).decode()


OWNER = Login("owner", KEY)


def open_connection(url: str = OPEN) -> http.client.HTTPConnection:
    """A connection that takes one request after the other."""
    return http.client.HTTPConnection(urlsplit(url).netloc, timeout=PATIENCE)


def ask(
    method: str, target: str, body: bytes | Iterable[bytes] | None = None, *, login: Login | None = None,
    url: str | None = None, connection: http.client.HTTPConnection | None = None, **headers: str | None,
) -> Answer:  # fmt: skip
    """One request. A body of several parts is sent in chunks. Headers are written with `_` for `-`; None removes one.
    Who logs in uses the address."""
    here = connection or open_connection(url or (CLOSED if login else OPEN))
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    named = {"Authorization": login.header if login else None} | named
    whole = body is None or isinstance(body, bytes)
    if whole and "Content-Length" not in named and (body is not None or method in ("POST", "PUT", "PATCH")):
        named["Content-Length"] = str(len(body or b""))
    elif not whole:
        named["Transfer-Encoding"] = "chunked"
    try:
        here.putrequest(method, target, skip_host="Host" in named, skip_accept_encoding=True)
        for name, value in named.items():
            if value is not None:
                here.putheader(name, value)
        here.endheaders()
        with contextlib.suppress(ConnectionError):  # who answers before all was read may close: the answer counts
            for piece in [body or b""] if whole else body:
                here.send(piece if whole else b"%x\r\n%b\r\n" % (len(piece), piece))
            if not whole:
                here.send(b"0\r\n\r\n")
        response = here.getresponse()
        answer = Answer(response.status, response.headers, response.read())
    finally:
        if connection is None:
            here.close()
    _remember(method, target, answer)
    return answer


def connect(url: str = OPEN) -> socket.socket:
    """A connection for bytes."""
    address = urlsplit(url)
    return socket.create_connection((address.hostname, address.port), timeout=PATIENCE)


def read_answer(connection: socket.socket, method: str = "GET") -> Answer:
    """The answer on a connection, after any `100 Continue`."""
    response = http.client.HTTPResponse(connection, method=method)
    response.begin()
    return Answer(response.status, response.headers, response.read())


def send(data: bytes, url: str = OPEN) -> Answer | None:
    """Exactly these bytes, and what is answered; nothing where the connection was closed without an answer."""
    with connect(url) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(data)
        try:
            return read_answer(connection, data.split(b" ", 1)[0].decode("latin-1"))
        except (ConnectionError, http.client.RemoteDisconnected):
            return None


def api(method: str, path: str, body: object = None, key: str = KEY) -> Any:
    """A request to harbor's API, which must succeed."""
    connection = http.client.HTTPConnection(urlsplit(API).netloc, timeout=PATIENCE)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request(method, f"/api{path}", None if body is None else json.dumps(body), headers)
    response = connection.getresponse()
    text = response.read()
    if response.status >= 300:
        raise RuntimeError(f"{method} {path}: {response.status} {text[:300]!r}")
    return json.loads(text) if text else None


def refused(what: str, statuses: int | Iterable[int], codes: str | Iterable[str], answer: Answer) -> None:
    """Counts whether an answer has one of these statuses and names these errors, in the form that errors have."""
    statuses = [statuses] if isinstance(statuses, int) else list(statuses)
    codes = [codes] if isinstance(codes, str) else list(codes)
    good = answer.status in statuses and answer.codes and set(answer.codes) <= set(codes)
    check(what, good, f"expected {statuses} {codes}, got {answer}")


def survived(what: str, answer: Answer | None) -> None:
    """Counts whether something damaged was refused, in words or by the end of its connection, and the server lives."""
    check(what, answer is None or 400 <= answer.status < 500, f"expected an error of the client, got {answer}")
    after = ask("GET", "/v2/")
    check(f"{what}: it is alive", after.status == 200, after)


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """The results of calls at the same time; None where one was cut off."""
    results = [None] * len(calls)

    def run(at: int) -> None:
        try:
            results[at] = calls[at]()
        except OSError as error:
            print(f"one of several: {error}", flush=True)

    threads = [threading.Thread(target=run, args=[at]) for at in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


# --- what is pushed ---

_pushed: list[tuple[str, str]] = []
_CREATED = re.compile(r"/v2/([^?]+)/(?:blobs/uploads/|manifests/)")


def _remember(method: str, target: str, answer: Answer) -> None:
    """Notes what a request made, for the end."""
    if answer.status == 201 and method in ("POST", "PUT") and answer.headers["Location"]:
        _pushed.append(("made", answer.location))
        found, digest = _CREATED.match(target), answer.headers["Docker-Content-Digest"]
        if found and digest and "/manifests/" in target:
            _pushed.append(("made", f"/v2/{found[1]}/manifests/{digest}"))
    elif answer.status == 202 and method == "POST" and answer.headers["Location"]:
        _pushed.append(("begun", answer.location))


def remove_pushed() -> None:
    """Removes what was pushed, the last first, and manifests before blobs."""
    connection = open_connection(CLOSED)
    known = list(dict.fromkeys(reversed(_pushed)))
    with contextlib.suppress(OSError, http.client.HTTPException):
        for _, location in sorted(known, key=lambda one: (one[0] == "begun", "/manifests/" not in one[1])):
            ask("DELETE", location, login=OWNER, connection=connection)


atexit.register(remove_pushed)


def digest_of(data: bytes) -> str:
    """As the registry names these bytes."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def repository(prefix: str = "harbor-test") -> str:
    """A name that nothing else has."""
    return f"{prefix}/{uuid.uuid4().hex[:12]}/app"


def random_blob(size: int = 1000) -> bytes:
    """Bytes that nothing else has."""
    return os.urandom(size)


def begin(name: str, **options: Any) -> str:
    """Begins an upload, and says where it goes on."""
    answer = ask("POST", f"/v2/{name}/blobs/uploads/", **options)
    if answer.status != 202:
        raise RuntimeError(f"an upload does not begin: {answer}")
    return answer.location


def with_digest(location: str, digest: str) -> str:
    """The target that ends an upload."""
    return f"{location}{'&' if '?' in location else '?'}digest={quote(digest, safe=':')}"


def push_blob(name: str, data: bytes, **options: Any) -> str:
    """Pushes a blob in two requests, and says its digest."""
    digest = digest_of(data)
    answer = ask("PUT", with_digest(begin(name, **options), digest), data, **options)
    if answer.status != 201:
        raise RuntimeError(f"a blob is not taken: {answer}")
    return digest


def descriptor(data: bytes, media_type: str, **more: Any) -> dict[str, Any]:
    """How a manifest names these bytes."""
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)} | more


def document(media_type: str, **fields: Any) -> bytes:
    """A manifest; what is None is left out."""
    whole = {"schemaVersion": 2, "mediaType": media_type} | fields
    return json.dumps({name: value for name, value in whole.items() if value is not None}, indent=3).encode()


def put_manifest(name: str, reference: str, data: bytes, media_type: str | None = OCI_IMAGE, **options: Any) -> Answer:
    """Puts a manifest, however it is answered."""
    return ask("PUT", f"/v2/{name}/manifests/{reference}", data, Content_Type=media_type, **options)


class Image(NamedTuple):
    """A small image that was pushed."""

    manifest: bytes
    digest: str
    config: bytes
    layer: bytes

    @property
    def descriptor(self) -> dict[str, Any]:
        """How an index names it."""
        return descriptor(self.manifest, json.loads(self.manifest)["mediaType"])


def push_image(name: str, *tags: str, kind: str = OCI_IMAGE, fields: dict[str, Any] | None = None, **options: Any) -> Image:
    """Pushes an image of one layer under these tags, or under its digest; `fields` are more of its manifest."""
    config, layer = (
        json.dumps({"architecture": "amd64", "os": "linux", "nonce": uuid.uuid4().hex}).encode(),
        random_blob(),
    )
    for blob in config, layer:
        push_blob(name, blob, **options)
    kinds = (OCI_CONFIG, OCI_LAYER) if kind == OCI_IMAGE else (DOCKER_CONFIG, DOCKER_LAYER)
    manifest = document(kind, config=descriptor(config, kinds[0]), layers=[descriptor(layer, kinds[1])], **(fields or {}))
    for reference in tags or [digest_of(manifest)]:
        answer = put_manifest(name, reference, manifest, kind, **options)
        if answer.status != 201:
            raise RuntimeError(f"a manifest is not taken: {answer}")
    return Image(manifest, digest_of(manifest), config, layer)


def get_blob(name: str, digest: str, **options: Any) -> bytes | None:
    """The bytes of a blob, or nothing where none is."""
    answer = ask("GET", f"/v2/{name}/blobs/{digest}", **options)
    if answer.status == 404:
        return None
    if answer.status != 200:
        raise RuntimeError(f"a blob is not had: {answer}")
    return answer.body
