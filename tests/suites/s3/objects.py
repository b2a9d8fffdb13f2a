"""Objects are put, had, copied, described and deleted, wholly, in part and on conditions."""

import hashlib
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

from botocore.exceptions import ClientError
from counts import check, equal, finish, part
from storage import MIB, all_keys, answered, ask, base64_of, bucket, client, content, etag, refused

s3 = client()
name = bucket(s3)


def put(key, body, **options):
    return s3.put_object(Bucket=name, Key=key, Body=body, **options)


def get(key, **options):
    return s3.get_object(Bucket=name, Key=key, **options)


with part("an object"):
    data = os.urandom(1000)
    begun = datetime.now(UTC).replace(microsecond=0)
    equal("its entity tag", etag(data), put("plain", data)["ETag"])
    found = get("plain")
    equal("its bytes", data, found["Body"].read())
    equal("its length and tag", (1000, etag(data)), (found["ContentLength"], found["ETag"]))
    check("its time", begun - timedelta(seconds=1) <= found["LastModified"] <= datetime.now(UTC), found["LastModified"])
    check("its kind by default", found.get("ContentType") in ("binary/octet-stream", "application/octet-stream"), found.get("ContentType"))
    equal("that ranges can be had", "bytes", found.get("AcceptRanges"))
    seen = s3.head_object(Bucket=name, Key="plain")
    equal("the same without its bytes", *[(one["ContentLength"], one["ETag"], one["LastModified"]) for one in (found, seen)])
    put("plain", b"other")
    equal("it is overwritten", b"other", content(s3, name, "plain"))
    equal("an empty one", etag(b""), put("empty", b"")["ETag"])
    equal("has nothing in it", (b"", 0), (content(s3, name, "empty"), s3.head_object(Bucket=name, Key="empty")["ContentLength"]))
    refused("none", "NoSuchKey", get, "none")
    refused("none, without its bytes", "404", s3.head_object, Bucket=name, Key="none")
    answer = ask("HEAD", f"/{name}/none")
    equal("and without a body", (404, b""), (answer.status, answer.body))
    big = os.urandom(20 * MIB + 7)
    put("big", big)
    equal("a big one", hashlib.sha256(big).digest(), hashlib.sha256(content(s3, name, "big")).digest())

with part("deleting"):
    for time in ("once", "twice"):
        status = s3.delete_object(Bucket=name, Key="plain")["ResponseMetadata"]["HTTPStatusCode"]
        equal(f"deleted {time}", 204, status)
    equal("it is gone", None, content(s3, name, "plain"))
    keys = [f"many/{number} ü+%&<>" for number in range(20)]
    for key in keys:
        put(key, b"data")
    deleted = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in [*keys[:10], "many/none"]]})
    equal("many at once, one of which is not there", sorted([*keys[:10], "many/none"]), sorted(one["Key"] for one in deleted["Deleted"]))
    equal("without errors", [], deleted.get("Errors", []))
    equal("the others stay", sorted(keys[10:]), sorted(key for key in all_keys(s3, name) if key.startswith("many/")))
    quiet = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
    equal("quietly", ([], []), (quiet.get("Deleted", []), quiet.get("Errors", [])))
    equal("all are gone", [], [key for key in all_keys(s3, name) if key.startswith("many/")])
    put("many/last", b"data")
    refused("more than a thousand", "MalformedXML", s3.delete_objects, Bucket=name,
            Delete={"Objects": [{"Key": "many/last"}, *({"Key": f"many/{number}"} for number in range(1000))]})  # fmt: skip
    for what, body in {
        "no XML": b"nothing", "half XML": b"<Delete><Object><Key>many/last</Key>", "another element": b"<Other/>", "nothing": b"<Delete/>",
    }.items():  # fmt: skip
        md5 = {"content-md5": base64_of(hashlib.md5(body).digest())}
        answered(f"what to delete is {what}", ["MalformedXML", "400"], ask("POST", f"/{name}", [("delete", "")], md5, body))
    bomb = b'<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]><Delete><Object><Key>&b;</Key></Object></Delete>'
    md5 = {"content-md5": base64_of(hashlib.md5(bomb).digest())}
    check("entities are no fault", ask("POST", f"/{name}", [("delete", "")], md5, bomb).status < 500)
    equal("none of them deletes", b"data", content(s3, name, "many/last"))

with part("ranges"):
    data = os.urandom(1000)
    put("ranges", data)
    for wanted, first, last in (
        ("0-9", 0, 9), ("0-0", 0, 0), ("990-", 990, 999), ("-10", 990, 999), ("990-5000", 990, 999), ("-5000", 0, 999), ("999-999", 999, 999),
    ):  # fmt: skip
        found = get("ranges", Range=f"bytes={wanted}")
        told = (found["ResponseMetadata"]["HTTPStatusCode"], found["ContentRange"], found["ContentLength"], found["Body"].read())
        equal(f"bytes={wanted}", (206, f"bytes {first}-{last}/1000", last - first + 1, data[first : last + 1]), told)
    for wanted in ("1000-", "1000-1001", "5000-6000", "-0"):
        refused(f"bytes={wanted}", "InvalidRange", get, "ranges", Range=f"bytes={wanted}")
    answer = ask("GET", f"/{name}/ranges", headers={"range": "bytes=1000-"})
    equal("the status and length of that", (416, "bytes */1000"), (answer.status, answer.headers.get("content-range", "bytes */1000")))
    refused("a range of nothing", "InvalidRange", get, "empty", Range="bytes=0-0")
    # what is no range at all may be left out of account or refused, but nothing else may come of it
    for wanted in ("bytes=5-2", "bytes=x", "bytes=0-1,4-5", "bytes=", "bytes=0-99999999999999999999999"):
        answer = ask("GET", f"/{name}/ranges", headers={"range": wanted})
        whole = answer.status in (200, 206) and data in answer.body
        pieces = answer.status == 206 and answer.headers["content-type"].startswith("multipart/byteranges")
        check(f"the odd range {wanted}", whole or pieces or answer.status in (400, 416, 501), answer.status)

with part("conditions"):
    tag = put("conditions", b"data")["ETag"]
    written = s3.head_object(Bucket=name, Key="conditions")["LastModified"]
    before, after = written - timedelta(hours=1), datetime.now(UTC) + timedelta(seconds=-1)
    for what, options, expected in (
        ("the same tag", {"IfMatch": tag}, "200"), ("another tag", {"IfMatch": etag(b"")}, "PreconditionFailed"),
        ("not the same tag", {"IfNoneMatch": tag}, "304"), ("not another tag", {"IfNoneMatch": etag(b"")}, "200"),
        ("changed since long", {"IfModifiedSince": before}, "200"), ("changed since then", {"IfModifiedSince": written}, "304"),
        ("unchanged since long", {"IfUnmodifiedSince": before}, "PreconditionFailed"), ("unchanged since then", {"IfUnmodifiedSince": written}, "200"),
        ("the same tag counts more than the time", {"IfMatch": tag, "IfUnmodifiedSince": before}, "200"),
        ("not the same tag counts more than the time", {"IfNoneMatch": tag, "IfModifiedSince": before}, "304"),
        ("not another tag counts more than the time", {"IfNoneMatch": etag(b""), "IfModifiedSince": after}, "200"),
    ):  # fmt: skip
        if expected == "200":
            with part(f"on condition of {what}"):
                equal(f"had on condition of {what}", b"data", get("conditions", **options)["Body"].read())
                check(f"seen on condition of {what}", s3.head_object(Bucket=name, Key="conditions", **options))
        else:
            refused(f"had on condition of {what}", expected, get, "conditions", **options)
            status = {"PreconditionFailed": "412"}.get(expected, expected)
            refused(f"seen on condition of {what}", status, s3.head_object, Bucket=name, Key="conditions", **options)

with part("conditions on putting"):
    check("put where none is", put("once", b"first", IfNoneMatch="*"))
    refused("put where one is", "PreconditionFailed", put, "once", b"second", IfNoneMatch="*")
    equal("the first stays", b"first", content(s3, name, "once"))
    refused("put in place of another", "PreconditionFailed", put, "once", b"second", IfMatch=etag(b"other"))
    equal("the first stays again", b"first", content(s3, name, "once"))
    check("put in place of this", put("once", b"second", IfMatch=etag(b"first")))
    equal("it has taken its place", b"second", content(s3, name, "once"))
    refused("put in place of none", "NoSuchKey", put, "never", b"data", IfMatch=etag(b"first"))
    equal("none is made", None, content(s3, name, "never"))
    outcomes = []

    def race(number):
        try:
            put("race", f"{number}".encode() * 1000, IfNoneMatch="*")
            outcomes.append(number)
        except ClientError as error:
            outcomes.append(error.response["Error"]["Code"])

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(race, range(12)))
    winners = [outcome for outcome in outcomes if isinstance(outcome, int)]
    equal("one of twelve wins", 1, len(winners))
    check("the others are told", {*outcomes} - {*winners} <= {"PreconditionFailed", "ConditionalRequestConflict"}, outcomes)
    equal("what it put is there", f"{winners[0]}".encode() * 1000, content(s3, name, "race"))

with part("what is told with it"):
    told = {
        "ContentType": "text/plain; charset=utf-8", "CacheControl": "no-store, max-age=0", "ContentDisposition": 'attachment; filename="a b.txt"',
        "ContentEncoding": "gzip", "ContentLanguage": "de, en", "Metadata": {"color": "blue", "with-dash": "a  b, c=d;e"},
    }  # fmt: skip
    expires = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
    put("told", b"data", Expires=expires, **told)
    for what, found in (("got", get("told")), ("seen", s3.head_object(Bucket=name, Key="told"))):
        for field, value in told.items():
            equal(f"{field}, {what}", value if field != "Metadata" else {**value, "with-dash": found["Metadata"].get("with-dash")}, found.get(field))
        check(f"a value with two spaces, {what}", found["Metadata"].get("with-dash", "").split() == ["a", "b,", "c=d;e"], found["Metadata"])
        equal(f"Expires, {what}", "Thu, 02 Jan 2031 03:04:05 GMT", found.get("ExpiresString"))
    answer = ask("PUT", f"/{name}/cases", headers={"X-Amz-Meta-MiXeD": "Value"}, body=b"data")
    equal("names are in small letters", {"mixed": "Value"}, get("cases")["Metadata"])
    other = get("told", ResponseContentType="image/png", ResponseContentDisposition="inline", ResponseCacheControl="private", ResponseContentLanguage="fr")
    equal("told otherwise", ("image/png", "inline", "private", "fr"),
          tuple(other[field] for field in ("ContentType", "ContentDisposition", "CacheControl", "ContentLanguage")))  # fmt: skip
    equal("only once", told["ContentType"], get("told")["ContentType"])
    put("told", b"data")
    equal("overwritten with all that", {}, get("told")["Metadata"])

with part("copies"):
    source = {"Bucket": name, "Key": "dir with space/ü+%20?#&"}
    put(source["Key"], b"copied", ContentType="text/css", Metadata={"color": "blue"}, CacheControl="no-cache")
    answer = s3.copy_object(Bucket=name, Key="copies/one", CopySource=source)
    equal("its tag", etag(b"copied"), answer["CopyObjectResult"]["ETag"])
    check("its time", answer["CopyObjectResult"]["LastModified"])
    found = get("copies/one")
    equal("what was told goes with it", (b"copied", "text/css", {"color": "blue"}, "no-cache"),
          (found["Body"].read(), found["ContentType"], found["Metadata"], found.get("CacheControl")))  # fmt: skip
    s3.copy_object(Bucket=name, Key="copies/two", CopySource=source, MetadataDirective="REPLACE", ContentType="text/html", Metadata={"size": "big"})
    found = get("copies/two")
    equal("or is told anew", (b"copied", "text/html", {"size": "big"}), (found["Body"].read(), found["ContentType"], found["Metadata"]))
    itself = {"Bucket": name, "Key": "copies/one", "CopySource": f"{name}/copies/one"}
    refused("onto itself", "InvalidRequest", s3.copy_object, **itself)
    s3.copy_object(**itself, MetadataDirective="REPLACE", Metadata={"new": "yes"})
    found = get("copies/one")
    equal("onto itself with something new", (b"copied", {"new": "yes"}), (found["Body"].read(), found["Metadata"]))
    refused("of none", "NoSuchKey", s3.copy_object, Bucket=name, Key="copies/none", CopySource=f"{name}/none")
    refused("out of no bucket", "NoSuchBucket", s3.copy_object, Bucket=name, Key="copies/none", CopySource=f"{name}-none/none")
    refused("of another tag", "PreconditionFailed", s3.copy_object, Bucket=name, Key="copies/none", CopySource=source, CopySourceIfMatch=etag(b""))
    refused("not of this tag", "PreconditionFailed", s3.copy_object, Bucket=name, Key="copies/none", CopySource=source,
            CopySourceIfNoneMatch=etag(b"copied"))  # fmt: skip
    equal("none is made", None, content(s3, name, "copies/none"))
    other = bucket(s3)
    s3.copy_object(Bucket=other, Key="there", CopySource=source)
    put(source["Key"], b"changed")
    equal("into another bucket, and by itself", b"copied", content(s3, other, "there"))
    for written in (f"/{name}/copies/two", f"{name}/copies%2Ftwo"):
        answered(f"its source is written {written.replace(name, '…')}", "200", ask("PUT", f"/{name}/copies/three", headers={"x-amz-copy-source": written}))
    for written in ("/", name, f"{name}/", "/../etc/passwd", f"{name}/../{other}/there", "%", "%ff/%ff"):
        answer = ask("PUT", f"/{name}/copies/four", headers={"x-amz-copy-source": written})
        check(f"its source is nonsense: {written.replace(name, '…').replace(other, '…')}", 400 <= answer.status < 500, answer.status)
    equal("of which nothing is made", None, content(s3, name, "copies/four"))

with part("many at a time"):
    bodies = [bytes([65 + number]) * (300_000 + number) for number in range(8)]
    put("busy", bodies[0])
    stop, broken, seen = threading.Event(), [], []

    def read():
        while not stop.is_set():
            found = get("busy")
            body = found["Body"].read()
            seen.append(len(body))
            if body not in bodies or found["ETag"] != etag(body) or found["ContentLength"] != len(body):
                broken.append((found["ETag"], len(body)))

    readers = [threading.Thread(target=read) for _ in range(3)]
    for reader in readers:
        reader.start()
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: put("busy", bodies[number % 8]), range(60)))
    stop.set()
    for reader in readers:
        reader.join()
    equal("who reads has one of them, whole", [], broken[:3])
    check("they did read", len(seen) > 10, len(seen))
    check("one of them stays", content(s3, name, "busy") in bodies)
finish()
