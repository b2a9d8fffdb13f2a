"""Who may do what: signatures in headers and in links, whole, broken, old, borrowed and missing."""

import re
import ssl
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from unittest import mock
from urllib.parse import parse_qs, urlsplit

from counts import check, equal, finish, part
from storage import ACCESS_KEY, AUTHORITY, HOST, SECRET, Signature, answered, ask, bucket, client, content, refused
from storage import send, sha256, stamp

s3 = client()
name = bucket(s3)
s3.put_object(Bucket=name, Key="key", Body=b"data")
PATH, NOW = f"/{name}/key", datetime.now(UTC)
DENIED = ["AccessDenied", "403"]

with part("nobody"):
    open_to = bucket(s3)
    s3.put_object(Bucket=open_to, Key="key", Body=b"data")
    for method, path in (("GET", "/key"), ("PUT", "/key"), ("DELETE", "/key"), ("GET", ""), ("PUT", "-new"), ("DELETE", ""), ("POST", "/key?uploads"),
                         ("POST", "?delete"), ("GET", "/none"), ("GET", "-none/key")):  # fmt: skip
        answered(f"nobody, {method} …{path}", "AccessDenied", send(method, f"/{open_to}{path}", {"host": HOST, "content-length": "0"}))
    answered("nobody, the list of buckets", "AccessDenied", send("GET", "/", {"host": HOST}))
    answer = send("HEAD", f"/{open_to}/key", {"host": HOST})
    equal("nobody, HEAD", (403, b""), (answer.status, answer.body))
    equal("the object is there", b"data", content(s3, open_to, "key"))

with part("keys and secrets"):
    refused("an unknown key", "InvalidAccessKeyId", client("NOBODYKNOWSTHISKEY00", SECRET).list_buckets)
    refused("a wrong secret", "SignatureDoesNotMatch", client(ACCESS_KEY, SECRET + "x").list_buckets)
    refused("a key in other letters", "InvalidAccessKeyId", client(ACCESS_KEY.swapcase(), SECRET).list_buckets)
    refused("a wrong secret for what is not there", "SignatureDoesNotMatch", client(ACCESS_KEY, "x").get_object, Bucket=name, Key="none")
    refused("a wrong secret, putting", "SignatureDoesNotMatch", client(ACCESS_KEY, "x").put_object, Bucket=name, Key="key", Body=b"evil" * 99999)
    answer = ask("GET", PATH, secret="x")
    check("the answer does not say what would be right", SECRET.encode() not in answer.body and answer.headers["content-type"].endswith("/xml"), answer.body)
    equal("the object is as it was", b"data", content(s3, name, "key"))

with part("clocks"):
    for minutes, good in ((-20, False), (20, False), (-10, True), (10, True), (-60 * 24, False), (60 * 24 * 365, False)):
        answer = ask("GET", PATH, at=NOW + timedelta(minutes=minutes))
        answered(f"a clock that is {minutes} minutes off", "200" if good else "RequestTimeTooSkewed", answer)

    class Late(datetime):
        """Twenty minutes late, as boto3 asks for the time."""

        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) - timedelta(minutes=20)

        @classmethod
        def utcnow(cls):
            return datetime.now(UTC).replace(tzinfo=None) - timedelta(minutes=20)

    with mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: Late.utcnow()):
        refused("boto3 on a late machine", "RequestTimeTooSkewed", client().get_object, Bucket=name, Key="key")
    for odd in ("yesterday", "20260230T000000Z", "2026-01-01T00:00:00Z", ""):
        check(f"the date {odd!r}", ask("GET", PATH, headers={"x-amz-date": odd}).status in (400, 403))

with part("scopes"):
    answered("any region will do", "200", ask("GET", PATH, region="eu-central-1"))
    refusals = ["SignatureDoesNotMatch", "AuthorizationHeaderMalformed", "AccessDenied"]
    answered("another service", [*refusals, "NotImplemented"], ask("GET", PATH, service="ec2"))
    answered("another day", refusals, ask("GET", PATH, scope_day=stamp(NOW - timedelta(days=3))[:8]))

with part("what was changed after it was signed"):
    other = Signature("GET", PATH, payload=sha256(b"")).headers["authorization"]
    for what, answer in {
        "the key": ask("GET", PATH, target=f"/{name}/other"), "the bucket": ask("GET", PATH, target=f"/{name}x/key"),
        "the query": ask("GET", PATH, target=f"{PATH}?versionId=1"), "the host": ask("GET", PATH, after={"host": "localhost:1"}),
        "a header": ask("PUT", PATH, headers={"x-amz-meta-a": "1"}, body=b"evil", after={"x-amz-meta-a": "2"}),
        "a header less": ask("PUT", PATH, headers={"x-amz-meta-a": "1"}, body=b"evil", after={"x-amz-meta-a": None}),
        "the date": ask("GET", PATH, after={"x-amz-date": stamp(NOW + timedelta(seconds=77))}),
        "the digest": ask("PUT", PATH, body=b"evil", payload=sha256(b"good"), after={"x-amz-content-sha256": sha256(b"evil")}),
        "the digest, for none": ask("PUT", PATH, body=b"evil", payload=sha256(b"good"), after={"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}),
        "the method": ask("DELETE", PATH, after={"authorization": other}),
    }.items():  # fmt: skip
        answered(f"changed: {what}", "SignatureDoesNotMatch", answer)
    for header, value in (("x-amz-meta-evil", "yes"), ("x-amz-copy-source", PATH), ("x-amz-security-token", "token"), ("x-amz-acl", "public-read")):
        answer = ask("PUT", f"/{name}/evil", body=b"evil", after={header: value})
        check(f"added: {header}", 400 <= answer.status < 500 or answer.status == 501, answer.status)
    equal("none of that was done", (b"data", None), (content(s3, name, "key"), content(s3, name, "evil")))

with part("headers that are none"):
    good = Signature("GET", PATH, payload=sha256(b"")).headers["authorization"]
    for what, odd in {
        "nothing": "", "a word": "AWS4-HMAC-SHA256", "a bearer": "Bearer token", "a name and a password": "Basic YTpi", "no signature": good.rsplit(",", 1)[0],
        "no names": re.sub("SignedHeaders=[^,]*, ", "", good), "names without the host": good.replace("SignedHeaders=host;", "SignedHeaders="),
        "no scope": good.replace("/s3/aws4_request", ""), "another way": good.replace("HMAC-SHA256", "HMAC-SHA1"), "a signature cut short": good[:-1],
        "an empty signature": re.sub("Signature=.*", "Signature=", good), "zeros": re.sub("Signature=.*", "Signature=" + "0" * 64, good), "twice": f"{good}, {good}",
        "an endless one": good + "0" * 8000, "letters beyond ASCII": re.sub("Credential=", "Credential=\u00fc", good).encode().decode("latin-1"),
    }.items():  # fmt: skip
        answer = ask("GET", PATH, after={"authorization": odd})
        check(f"an authorization of {what}", answer.status in (400, 401, 403, 431) and b"data" != answer.body, answer.status)
    # as minio-go writes it
    signed = Signature("GET", PATH, payload=sha256(b"")).headers
    signed["authorization"] = signed["authorization"].replace(", ", ",")
    answered("no spaces after the commas", "200", send("GET", PATH, signed))



def fetch(url, method="GET", body=None, headers=None):
    """Status and body of a link that needs nothing else."""
    request = urllib.request.Request(url, body, headers or {}, method=method)
    try:
        context = ssl.create_default_context(cafile=AUTHORITY) if url.startswith("https") else None
        with urllib.request.urlopen(request, timeout=60, context=context) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        found = re.search(rb"<Code>([^<]+)</Code>", refusal.read())
        return refusal.code, found[1].decode() if found else ""


def link(operation="get_object", seconds=60, key="key", **options):
    return s3.generate_presigned_url(operation, {"Bucket": name, "Key": key, **options}, ExpiresIn=seconds)


def old(hours, seconds=60):
    """A link that was made some hours ago."""
    with mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: datetime.now(UTC).replace(tzinfo=None) - timedelta(hours=hours)):
        return link(seconds=seconds)


with part("links"):
    equal("to get", (200, b"data"), fetch(link()))
    equal("to put", 200, fetch(link("put_object", key="linked"), "PUT", b"by a link")[0])
    equal("what was put", b"by a link", content(s3, name, "linked"))
    equal("an odd key", 200, fetch(link("put_object", key="dir/ü +%2F&?#"), "PUT", b"odd")[0])
    equal("to get an odd key", (200, b"odd"), fetch(link(key="dir/ü +%2F&?#")))
    equal("to delete", 204, fetch(link("delete_object", key="linked"), "DELETE")[0])
    equal("it is gone", None, content(s3, name, "linked"))
    equal("to look", 200, fetch(link("head_object"), "HEAD")[0])
    equal("to get what is not there", (404, "NoSuchKey"), fetch(link(key="none")))
    equal("a range", (206, b"at"), fetch(link(), headers={"Range": "bytes=1-2"}))
    kind = ask("GET", "/", target=link(ResponseContentType="image/png").removeprefix(f"{urlsplit(link()).scheme}://{HOST}"),
               after={"authorization": None, "x-amz-date": None, "x-amz-content-sha256": None}).headers["content-type"]  # fmt: skip
    equal("what it shall be called", "image/png", kind)
    with_kind = link("put_object", key="kind", ContentType="text/plain")
    equal("to put one kind, with another", (403, "SignatureDoesNotMatch"), fetch(with_kind, "PUT", b"x", {"Content-Type": "text/html"}))
    equal("to put one kind", 200, fetch(with_kind, "PUT", b"x", {"Content-Type": "text/plain"})[0])
    equal("made an hour ago for two", (200, b"data"), fetch(old(1, 7200)))
    for what, expected, told in (
        ("to get, used to put", "SignatureDoesNotMatch", fetch(link(), "PUT", b"evil")), ("to get, used to delete", "SignatureDoesNotMatch", fetch(link(), "DELETE")),
        ("of another key", "SignatureDoesNotMatch", fetch(link().replace("/key?", "/linked?"))), ("that ended", "AccessDenied", fetch(old(2))),
        ("that was made longer", "SignatureDoesNotMatch", fetch(old(2).replace("X-Amz-Expires=60", "X-Amz-Expires=86400"))),
        ("with more in its query", "SignatureDoesNotMatch", fetch(f"{link()}&response-content-type=text%2Fhtml")),
        ("with a changed signature", "SignatureDoesNotMatch", fetch(re.sub("(X-Amz-Signature=)[0-9a-f]{4}", r"\g<1>beef", link()))),
        ("with a wrong secret", "SignatureDoesNotMatch", fetch(client(ACCESS_KEY, "x").generate_presigned_url("get_object", {"Bucket": name, "Key": "key"}))),
        ("of an unknown key", "InvalidAccessKeyId", fetch(client("NOBODY", "x").generate_presigned_url("get_object", {"Bucket": name, "Key": "key"}))),
    ):  # fmt: skip
        equal(f"a link {what}", (403, expected), told)
    for what, odd in {"longer than a week": link(seconds=604801), "of no length": re.sub("X-Amz-Expires=60", "X-Amz-Expires=x", link()),
                      "of less than nothing": re.sub("X-Amz-Expires=60", "X-Amz-Expires=-5", link()), "without a signature": link().rsplit("&", 1)[0],
                      "without a length": re.sub("&X-Amz-Expires=60", "", link()), "without a date": re.sub("&X-Amz-Date=[^&]*", "", link())}.items():  # fmt: skip
        check(f"a link {what}", fetch(odd)[0] in (400, 403), fetch(odd))
    check("it says how long it lasts", parse_qs(urlsplit(link()).query)["X-Amz-Expires"] == ["60"])
    equal("nothing was done by those", b"data", content(s3, name, "key"))

with part("answers"):
    answer = ask("GET", f"/{name}/none")
    equal("the status of an error", 404, answer.status)
    check("it is XML", answer.headers["content-type"].endswith("/xml") and b"<Error>" in answer.body, answer.body)
    check("it has a message and the number of its request", b"<Message>" in answer.body and (b"<RequestId>" in answer.body or answer.headers.get("x-amz-request-id")), answer.body)
finish()
