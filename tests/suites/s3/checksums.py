"""Checksums of every kind: what fits is taken, what does not is refused and leaves no trace."""

import hashlib
import zlib
from functools import cache

from counts import check, equal, finish, part
from storage import answered, ask, base64_of, bucket, client, content, etag, refused

s3 = client()
name = bucket(s3)
DATA = b"123456789" * 1000
put_old = {"Bucket": name, "Key": "old", "Body": b"old"}


@cache
def table(polynomial):
    """The steps of a reflected cyclic redundancy check, byte by byte."""
    steps = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (polynomial if value & 1 else 0)
        steps.append(value)
    return steps


def redundancy(data, polynomial, bits):
    value = mask = (1 << bits) - 1
    for byte in data:
        value = value >> 8 ^ table(polynomial)[(value ^ byte) & 0xFF]
    return (value ^ mask).to_bytes(bits // 8, "big")


def crc32c(data):
    return redundancy(data, 0x82F63B78, 32)


def crc64(data):
    """As NVMe has it."""
    return redundancy(data, 0x9A6C9329AC4BC9B5, 64)


KINDS = {
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"), "crc32c": crc32c, "crc64nvme": crc64,
    "sha1": lambda data: hashlib.sha1(data).digest(), "sha256": lambda data: hashlib.sha256(data).digest(),
}  # fmt: skip
# published values of the text 123456789, so that a mistake here is not taken for one of the server
equal("crc32 is right here", "cbf43926", KINDS["crc32"](b"123456789").hex())
equal("crc32c is right here", "e3069283", crc32c(b"123456789").hex())
equal("crc64nvme is right here", "ae8b14860a799888", crc64(b"123456789").hex())

for kind, digest in KINDS.items():
    header = f"x-amz-checksum-{kind}"
    with part(kind):
        right, wrong = base64_of(digest(DATA)), base64_of(digest(b"other"))
        answer = ask("PUT", f"/{name}/{kind}", headers={header: right, "x-amz-sdk-checksum-algorithm": kind.upper()}, body=DATA)
        answered(f"{kind} that fits", "200", answer)
        check(f"{kind} is not told wrongly", answer.headers.get(header, right) == right, answer.headers.get(header))
        equal(f"{kind}: what was put", DATA, content(s3, name, kind))
        told = ask("HEAD", f"/{name}/{kind}", headers={"x-amz-checksum-mode": "ENABLED"}).headers.get(header, right)
        equal(f"{kind} is not told wrongly later", right, told)
        s3.put_object(**put_old)
        answered(f"{kind} that does not fit", "BadDigest", ask("PUT", f"/{name}/old", headers={header: wrong}, body=DATA))
        answered(f"{kind} that does not fit, where none is", "BadDigest", ask("PUT", f"/{name}/new-{kind}", headers={header: wrong}, body=DATA))
        for what, odd in {"no base64": "*****", "too short": base64_of(b"x"), "of another kind": base64_of(bytes(17))}.items():
            answered(f"{kind} that is {what}", ["InvalidRequest", "BadDigest", "InvalidDigest", "400"], ask("PUT", f"/{name}/old", headers={header: odd}, body=DATA))
        equal(f"{kind}: what was there stays", b"old", content(s3, name, "old"))
        equal(f"{kind}: where none was none is", None, content(s3, name, f"new-{kind}"))
    with part(f"{kind} by boto3"):
        # two kinds are computed by a package that is not installed here, so their values are given
        field = f"Checksum{kind.upper()}"
        s3.put_object(Bucket=name, Key=kind, Body=b"by boto3", **{field: base64_of(digest(b"by boto3"))})
        equal(f"{kind} by boto3", b"by boto3", content(s3, name, kind, ChecksumMode="ENABLED"))
        refused(f"{kind} by boto3 that does not fit", "BadDigest", s3.put_object, Bucket=name, Key=kind, Body=b"other", **{field: base64_of(digest(b"by boto3"))})
        equal(f"{kind} by boto3: what was there stays", b"by boto3", content(s3, name, kind))

for kind in ("CRC32", "SHA1", "SHA256"):
    with part(f"{kind} that boto3 computes"):
        s3.put_object(Bucket=name, Key="computed", Body=DATA, ChecksumAlgorithm=kind)
        equal(f"{kind} that boto3 computes", DATA, content(s3, name, "computed", ChecksumMode="ENABLED"))

with part("two kinds"):
    s3.put_object(**put_old)
    both = {"x-amz-checksum-crc32": base64_of(KINDS["crc32"](DATA)), "x-amz-checksum-sha256": base64_of(KINDS["sha256"](b"other"))}
    answered("two kinds, one of which does not fit", ["InvalidRequest", "BadDigest"], ask("PUT", f"/{name}/old", headers=both, body=DATA))
    equal("what was there stays", b"old", content(s3, name, "old"))

with part("MD5"):
    s3.put_object(**put_old)
    md5 = {"content-md5": base64_of(hashlib.md5(DATA).digest())}
    answered("MD5 that fits", "200", ask("PUT", f"/{name}/md5", headers=md5, body=DATA))
    answered("MD5 that does not fit", "BadDigest", ask("PUT", f"/{name}/old", headers=md5, body=b"other"))
    for odd in ("*****", base64_of(b"short")):
        answered(f"MD5 that is none: {odd!r}", ["InvalidDigest", "BadDigest"], ask("PUT", f"/{name}/old", headers={"content-md5": odd}, body=DATA))
    equal("what was there stays", b"old", content(s3, name, "old"))
    body = b"<Delete><Object><Key>old</Key></Object></Delete>"
    answered("MD5 of another list to delete", "BadDigest", ask("POST", f"/{name}", [("delete", "")], md5, body))
    equal("nothing is deleted", b"old", content(s3, name, "old"))
    upload = {"Bucket": name, "Key": "parts", "UploadId": s3.create_multipart_upload(Bucket=name, Key="parts")["UploadId"]}
    refused("MD5 of another part", "BadDigest", s3.upload_part, **upload, PartNumber=1, Body=b"other", ContentMD5=md5["content-md5"])
    equal("no part is there", [], s3.list_parts(**upload).get("Parts", []))
    s3.abort_multipart_upload(**upload)

with part("the signed digest"):
    s3.put_object(**put_old)
    answer = ask("PUT", f"/{name}/old", body=DATA, payload=hashlib.sha256(b"other").hexdigest())
    answered("a body that is not what was signed", "XAmzContentSHA256Mismatch", answer)
    answer = ask("PUT", f"/{name}/signed", body=b"", payload=hashlib.sha256(b"other").hexdigest())
    answered("no body, and one was signed", "XAmzContentSHA256Mismatch", answer)
    for odd in ("nonsense", "a" * 63, "STREAMING-AWS4-ECDSA-NONE"):
        answer = ask("PUT", f"/{name}/old", body=DATA, payload=odd)
        check(f"a digest {odd[:9]!r}", 400 <= answer.status < 500 or answer.status == 501, answer.status)
    equal("what was there stays", b"old", content(s3, name, "old"))
    equal("where none was none is", None, content(s3, name, "signed"))

with part("big bodies"):
    data = b"0123456789abcdef" * (1 << 18)
    s3.put_object(**put_old)
    for header, value in (("x-amz-checksum-sha256", base64_of(bytes(32))), ("content-md5", base64_of(bytes(16)))):
        answered(f"4 MiB with a wrong {header}", "BadDigest", ask("PUT", f"/{name}/old", headers={header: value}, body=data))
    answered("4 MiB that were not signed so", "XAmzContentSHA256Mismatch", ask("PUT", f"/{name}/old", body=data, payload=hashlib.sha256(b"").hexdigest()))
    equal("what was there stays", (b"old", etag(b"old")), (content(s3, name, "old"), s3.head_object(Bucket=name, Key="old")["ETag"]))
    equal("and it is alone", ["old"], [one["Key"] for one in s3.list_objects_v2(Bucket=name, Prefix="old")["Contents"]])
finish()
