"""Uploads in parts: nothing is seen of them before they are complete, and exactly what was asked for afterwards."""

import hashlib
import io
import os
import re
from concurrent.futures import ThreadPoolExecutor

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from counts import check, equal, finish, part
from storage import MIB, all_keys, answered, ask, base64_of, bucket, client, content, etag, refused, sha256

s3 = client()
name = bucket(s3)
FIVE = [bytes([number]) * (5 * MIB) for number in range(3)]  # the least that a part may be which is not the last


def begin(key, **options):
    """A new upload, as the options that name it."""
    return {"Bucket": name, "Key": key, "UploadId": s3.create_multipart_upload(Bucket=name, Key=key, **options)["UploadId"]}


def send(upload, number, body, **options):
    """Sends a part; what completing needs to know of it."""
    return {"PartNumber": number, "ETag": s3.upload_part(**upload, PartNumber=number, Body=body, **options)["ETag"]}


def complete(upload, *parts, **options):
    return s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": list(parts)}, **options)


def whole(*pieces):
    """The entity tag of an object that came in these parts."""
    return f'"{hashlib.md5(b"".join(hashlib.md5(piece).digest() for piece in pieces)).hexdigest()}-{len(pieces)}"'


with part("in any order"):
    upload = begin("order", ContentType="text/plain", Metadata={"color": "blue"}, CacheControl="no-cache")
    last = os.urandom(100)
    third = send(upload, 3, last)
    equal("the tag of a part", etag(last), third["ETag"])
    first, second = send(upload, 1, FIVE[1]), send(upload, 2, FIVE[2])
    refused("nothing is seen before it is complete", "404", s3.head_object, Bucket=name, Key="order")
    equal("nor listed", [], all_keys(s3, name))
    answer = complete(upload, first, second, third)
    equal("its name and tag", (name, "order", whole(FIVE[1], FIVE[2], last)), (answer["Bucket"], answer["Key"], answer["ETag"]))
    check("its address", "order" in answer["Location"], answer["Location"])
    found = s3.get_object(Bucket=name, Key="order")
    equal("its bytes", sha256(FIVE[1] + FIVE[2] + last), sha256(found["Body"].read()))
    equal("what was told at the start", (answer["ETag"], "text/plain", {"color": "blue"}, "no-cache", 10 * MIB + 100),
          (found["ETag"], found["ContentType"], found["Metadata"], found["CacheControl"], found["ContentLength"]))  # fmt: skip
    for start, end in ((5 * MIB - 2, 5 * MIB + 1), (10 * MIB - 1, 10 * MIB + 50)):
        told = content(s3, name, "order", Range=f"bytes={start}-{end}")
        equal(f"over an edge at {start}", (FIVE[1] + FIVE[2] + last)[start : end + 1], told)
    equal("it is listed with its size and tag", [(10 * MIB + 100, answer["ETag"])],
          [(one["Size"], one["ETag"]) for one in s3.list_objects_v2(Bucket=name)["Contents"]])  # fmt: skip

with part("parts again, and left out"):
    upload = begin("again")
    parts = [send(upload, number, piece) for number, piece in ((1, FIVE[0]), (2, b"wrong"), (7, b"left out"), (10000, b"end"))]
    check("sent again", send(upload, 1, FIVE[2])["ETag"] != parts[0]["ETag"])
    refused("the tag of what it replaced", "InvalidPart", complete, upload, parts[0], parts[3])
    complete(upload, {"PartNumber": 1, "ETag": etag(FIVE[2])}, parts[3])
    equal("the last one that was sent counts", sha256(FIVE[2] + b"end"), sha256(content(s3, name, "again")))
    refused("the upload is over", "NoSuchUpload", s3.list_parts, **upload)

with part("what cannot be completed"):
    s3.put_object(Bucket=name, Key="kept", Body=b"kept")
    upload = begin("kept")
    one, two, three = send(upload, 1, b"short"), send(upload, 2, FIVE[0]), send(upload, 3, b"end")
    refused("a part that is too small", "EntityTooSmall", complete, upload, one, two)
    refused("a wrong order", "InvalidPartOrder", complete, upload, three, two)
    refused("one that was not sent", "InvalidPart", complete, upload, two, {"PartNumber": 4, "ETag": three["ETag"]})
    refused("a wrong tag", "InvalidPart", complete, upload, two, {"PartNumber": 3, "ETag": one["ETag"]})
    refused("no parts", ["MalformedXML", "InvalidRequest"], complete, upload)
    for what, body in {"nothing": b"", "no XML": b"nothing", "half": b"<CompleteMultipartUpload><Part>", "no number": b"<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>"}.items():
        answered(f"a body with {what}", ["MalformedXML", "InvalidRequest", "InvalidPart", "InvalidArgument"], ask("POST", f"/{name}/kept", [("uploadId", upload["UploadId"])], body=body))
    for number in (0, 10001):
        refused(f"part {number}", ["InvalidArgument", "InvalidPartNumber"], send, upload, number, b"data")
    equal("what is there is as it was", b"kept", content(s3, name, "kept"))
    complete(upload, two, three)
    equal("the upload was not harmed", sha256(FIVE[0] + b"end"), sha256(content(s3, name, "kept")))

with part("uploads that are not there"):
    upload = begin("aborted")
    sent = send(upload, 1, b"data")
    check("aborted", s3.abort_multipart_upload(**upload)["ResponseMetadata"]["HTTPStatusCode"] == 204)
    refused("its parts", "NoSuchUpload", s3.list_parts, **upload)
    refused("another part", "NoSuchUpload", send, upload, 2, b"data")
    refused("its completion", "NoSuchUpload", complete, upload, sent)
    equal("nothing has come of it", None, content(s3, name, "aborted"))
    try:
        s3.abort_multipart_upload(**upload)
        check("aborting again", True)
    except ClientError as error:
        check("aborting again", error.response["Error"]["Code"] == "NoSuchUpload", error)
    live = begin("live")
    part_of_live = send(live, 1, b"data")
    other = {**live, "Key": "another"}
    refused("an upload of another key: a part", "NoSuchUpload", send, other, 1, b"data")
    refused("an upload of another key: completing", "NoSuchUpload", complete, other, part_of_live)
    refused("an upload of another key: its parts", "NoSuchUpload", s3.list_parts, **other)
    second = bucket(s3)
    refused("an upload of another bucket", "NoSuchUpload", s3.upload_part, **{**live, "Bucket": second}, PartNumber=1, Body=b"data")
    for odd in ("nonsense", "../../../etc", ".", "a/b", "%00", "x" * 3000):
        answered(f"an upload {odd[:10]}", ["NoSuchUpload", "400"], ask("PUT", f"/{name}/live", [("partNumber", "1"), ("uploadId", odd)], body=b"data"))
    complete(live, part_of_live)
    equal("the right one is not harmed", b"data", content(s3, name, "live"))

with part("complete twice"):
    upload = begin("twice")
    sent = send(upload, 1, b"data")
    done = complete(upload, sent)
    try:
        equal("the same answer again", done["ETag"], complete(upload, sent)["ETag"])
    except ClientError as error:
        equal("or it is over", "NoSuchUpload", error.response["Error"]["Code"])
    equal("it is there", b"data", content(s3, name, "twice"))

with part("at the same time"):
    uploads = [begin("both"), begin("both")]
    check("two uploads of a key differ", uploads[0]["UploadId"] != uploads[1]["UploadId"])
    sent = [send(upload, 1, body) for upload, body in zip(uploads, (b"first", b"second"))]
    complete(uploads[1], sent[1])
    complete(uploads[0], sent[0])
    equal("the last one that is complete stays", b"first", content(s3, name, "both"))
    upload = begin("flight")
    pieces = [os.urandom(5 * MIB) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        parts = list(pool.map(lambda number: send(upload, number, pieces[number - 1]), (6, 2, 5, 1, 4, 3)))
    complete(upload, *sorted(parts, key=lambda one: one["PartNumber"]))
    equal("six in flight", sha256(b"".join(pieces)), sha256(content(s3, name, "flight")))
    data = os.urandom(21 * MIB + 5)
    s3.upload_fileobj(io.BytesIO(data), name, "managed", Config=TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4))
    target = io.BytesIO()
    s3.download_fileobj(name, "managed", target, Config=TransferConfig(multipart_threshold=5 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4))
    equal("as boto3 does it by itself", sha256(data), sha256(target.getvalue()))

with part("lists"):
    upload = begin("lists/parts")
    sent = [send(upload, number, b"x" * number) for number in (3, 1, 2, 9, 4)]
    found = s3.list_parts(**upload)
    equal("parts in order", [(number, number, etag(b"x" * number)) for number in (1, 2, 3, 4, 9)],
          [(one["PartNumber"], one["Size"], one["ETag"]) for one in found["Parts"]])  # fmt: skip
    equal("and of what", (name, "lists/parts", upload["UploadId"], False), (found["Bucket"], found["Key"], found["UploadId"], found["IsTruncated"]))
    pages = list(s3.get_paginator("list_parts").paginate(**upload, PaginationConfig={"PageSize": 2}))
    equal("in pages of two", [[1, 2], [3, 4], [9]], [[one["PartNumber"] for one in page["Parts"]] for page in pages])
    uploads = [upload, begin("lists/parts"), begin("lists/more ü+%"), begin("other")]
    expected = sorted((one["Key"], one["UploadId"]) for one in uploads)

    def listed(**options):
        pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=name, **options)
        return [(one["Key"], one["UploadId"]) for page in pages for one in page.get("Uploads", [])]

    equal("uploads", expected, sorted(listed()))
    equal("in the order of their keys", [key for key, _ in expected], [key for key, _ in listed()])
    equal("one by one", expected, sorted(listed(PaginationConfig={"PageSize": 1})))
    equal("with a prefix", expected[:3], sorted(listed(Prefix="lists/")))
    with part("with a delimiter"):
        short = s3.list_multipart_uploads(Bucket=name, Delimiter="/")
        equal("with a delimiter", (["other"], ["lists/"]),
              ([one["Key"] for one in short["Uploads"]], [one["Prefix"] for one in short["CommonPrefixes"]]))  # fmt: skip
    for one in uploads[:2]:
        s3.abort_multipart_upload(**one)
    equal("without what was aborted", expected_rest := sorted((one["Key"], one["UploadId"]) for one in uploads[2:]), sorted(listed()))
    check("some are left", len(expected_rest) == 2)

with part("as other clients complete them"):
    for what, start, mark in (("with a namespace, bare tags", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', ""), ("without a namespace", "", "&quot;"), ("with plain quotes", "", '"')):
        begun = ask("POST", f"/{name}/raw", [("uploads", "")], payload="UNSIGNED-PAYLOAD")
        identifier = re.search(r"<UploadId>([^<]+)</UploadId>", begun.body.decode())[1]
        answer = ask("PUT", f"/{name}/raw", [("partNumber", "1"), ("uploadId", identifier)], body=what.encode())
        tag = answer.headers["etag"].strip('"')
        body = f"<CompleteMultipartUpload{start}><Part><ETag>{mark}{tag}{mark}</ETag><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>"
        answered(f"completed {what}", "200", ask("POST", f"/{name}/raw", [("uploadId", identifier)], body=body.encode()))
        equal(f"put {what}", what.encode(), content(s3, name, "raw"))
    upload = begin("raw")
    sent = send(upload, 1, b"")
    complete(upload, sent)
    equal("a single empty part", b"", content(s3, name, "raw"))
    upload = begin("raw")
    sent = send(upload, 1, b"new")
    refused("completed where one is", "PreconditionFailed", complete, upload, sent, IfNoneMatch="*")
    equal("which stays", b"", content(s3, name, "raw"))
    s3.abort_multipart_upload(**upload)

with part("parts that are copied"):
    source = os.urandom(6 * MIB)
    s3.put_object(Bucket=name, Key="source ü+%", Body=source)
    of = {"Bucket": name, "Key": "source ü+%"}
    upload = begin("copied")

    def copy(number, **options):
        answer = s3.upload_part_copy(**upload, PartNumber=number, CopySource=of, **options)["CopyPartResult"]
        return {"PartNumber": number, "ETag": answer["ETag"]}

    parts = [copy(1), copy(2, CopySourceRange=f"bytes=0-{5 * MIB - 1}"), copy(3, CopySourceRange="bytes=10-19")]
    equal("the tag of one", etag(source), parts[0]["ETag"])
    refused("beyond its end", ["InvalidRange", "InvalidArgument"], copy, 4, CopySourceRange=f"bytes=0-{6 * MIB}")
    refused("no range", ["InvalidArgument", "InvalidRange"], copy, 4, CopySourceRange="bytes=5-")
    refused("of another tag", "PreconditionFailed", copy, 4, CopySourceIfMatch=etag(b""))
    refused("of none", "NoSuchKey", s3.upload_part_copy, **upload, PartNumber=4, CopySource=f"{name}/none")
    refused("into none", "NoSuchUpload", s3.upload_part_copy, Bucket=name, Key="copied", UploadId="none", PartNumber=1, CopySource=of)
    complete(upload, *parts)
    equal("all of it", sha256(source + source[: 5 * MIB] + source[10:20]), sha256(content(s3, name, "copied")))

with part("checked parts"):
    upload = begin("checked", ChecksumAlgorithm="SHA256")
    right = {"ChecksumSHA256": base64_of(hashlib.sha256(FIVE[0]).digest())}
    one = {**send(upload, 1, FIVE[0], **right), **right}
    refused("a part that is not what it should be", "BadDigest", send, upload, 2, b"other", **right)
    equal("is not there", [1], [found["PartNumber"] for found in s3.list_parts(**upload)["Parts"]])
    last = {"ChecksumSHA256": base64_of(hashlib.sha256(b"end").digest())}
    complete(upload, one, {**send(upload, 2, b"end", **last), **last})
    equal("all of it", sha256(FIVE[0] + b"end"), sha256(content(s3, name, "checked")))
finish()
