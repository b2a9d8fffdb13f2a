"""What the credentials for build contexts may do, and that they may do nothing else (contract, edges §4.1 and §4.3).

Beside the endpoint it needs the API: HARBOR_TEST_URL and HARBOR_TEST_KEY.
"""

import json
import os
import re
import urllib.request

from counts import check, equal, finish, part
from storage import ADDRESS, HOST, MIB, SECRET, Signature, answered, ask, bucket, client, content, etag, refused, send
from storage import sha256

API = f"{os.environ['HARBOR_TEST_URL']}/api"
FOREIGN = "0b5c0b5c-0000-4000-8000-000000000000"  # an organization's id that is nobody's here


def push_access(source=None):
    """What the API answers, as a client of this name asks."""
    headers = {"Authorization": f"Bearer {os.environ['HARBOR_TEST_KEY']}", **({"X-Daytona-Source": source} if source else {})}
    with urllib.request.urlopen(urllib.request.Request(f"{API}/object-storage/push-access", headers=headers), timeout=60) as answer:
        return json.load(answer)


def guest(access, **changed):
    """A client with these credentials."""
    access = {**access, **changed}
    return client(access["accessKey"], access["secret"], access["sessionToken"])


access = push_access()
BUCKET, OURS = access["bucket"], access["organizationId"]
ROOT = f"{OURS}/{os.urandom(16).hex()}"
owner, s3 = client(), guest(access)


def ask_as_guest(method, path, query=(), headers=None, **options):
    return ask(method, path, query, headers, key=access["accessKey"], secret=access["secret"], token=access["sessionToken"], **options)


with part("what the API answers"):
    fields = {"accessKey", "secret", "sessionToken", "storageUrl", "organizationId", "bucket", "region"}
    check("all is there, and nothing is empty", fields <= {*access} and all(isinstance(access[field], str) and access[field] for field in fields), sorted(access))
    equal("the bucket and region", ("daytona", "us-east-1"), (BUCKET, access["region"]))
    check("the owner's secret is not among it", SECRET not in json.dumps(access))
    check("the address has no path", re.fullmatch(r"https?://[^/]+", access["storageUrl"]), access["storageUrl"])
    for source in ("sdk-typescript", "sdk-typescript-legacy", "sdk-go", "sdk-ruby", "cli"):
        check(f"{source} is told http", push_access(source)["storageUrl"].startswith("http://"), push_access(source)["storageUrl"])
    other = push_access()
    check("others have other credentials, or the same for longer", (other["accessKey"] == access["accessKey"]) == (other["secret"] == access["secret"]))

with part("what they may do"):
    key, data = f"{ROOT}/context.tar", os.urandom(100_000)
    refused("to see that none is there", "404", s3.head_object, Bucket=BUCKET, Key=key)
    refused("to find none", "NoSuchKey", s3.get_object, Bucket=BUCKET, Key=key)
    equal("to put", etag(data), s3.put_object(Bucket=BUCKET, Key=key, Body=data)["ETag"])
    equal("to get", data, content(s3, BUCKET, key))
    equal("to look", len(data), s3.head_object(Bucket=BUCKET, Key=key)["ContentLength"])
    equal("what they put is the owner's to see", data, content(owner, BUCKET, key))
    s3.put_object(Bucket=BUCKET, Key=f"{ROOT}/", Body=b"")
    equal("to put a directory's mark", b"", content(s3, BUCKET, f"{ROOT}/"))
    for prefix in (OURS, f"{OURS}/", ROOT, f"{ROOT}/", f"{ROOT}/context"):
        found = [one["Key"] for one in s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])]
        check(f"to list {prefix.removeprefix(OURS) or 'all of theirs'}", key in found, found)
    found = s3.list_objects_v2(Bucket=BUCKET, Prefix=OURS, Delimiter="/")
    equal("to list as the command line does", ([], [f"{OURS}/"]), (found.get("Contents", []), [one["Prefix"] for one in found["CommonPrefixes"]]))
    answered("to ask for the place as the command line does", "200", ask_as_guest("GET", f"/{BUCKET}/", [("location", "")]))
    upload = {"Bucket": BUCKET, "Key": f"{ROOT}/parts", "UploadId": s3.create_multipart_upload(Bucket=BUCKET, Key=f"{ROOT}/parts")["UploadId"]}
    pieces = [os.urandom(5 * MIB), b"end"]
    tags = [s3.upload_part(**upload, PartNumber=number, Body=piece)["ETag"] for number, piece in enumerate(pieces, 1)]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]})
    equal("to put in parts", sha256(b"".join(pieces)), sha256(content(s3, BUCKET, f"{ROOT}/parts")))
    url = s3.generate_presigned_url("get_object", {"Bucket": BUCKET, "Key": key}, ExpiresIn=60)
    check("to make a link with the token in it", "X-Amz-Security-Token=" in url)
    target = url.split(HOST, 1)[1]
    equal("which works", data, send("GET", target, {"host": HOST}).body)
    equal("but not without the token", 403, send("GET", re.sub("&X-Amz-Security-Token=[^&]*", "", target), {"host": HOST}).status)

with part("where they may not"):
    theirs = f"{FOREIGN}/{os.urandom(8).hex()}/context.tar"
    elsewhere = bucket(owner)
    owner.put_object(Bucket=BUCKET, Key=theirs, Body=b"theirs")
    owner.put_object(Bucket=elsewhere, Key=f"{OURS}/key", Body=b"elsewhere")
    owner.put_object(Bucket=BUCKET, Key="top", Body=b"top")
    for what, name, key in (
        ("of another organization", BUCKET, theirs), ("in another bucket", elsewhere, f"{OURS}/key"), ("above their own", BUCKET, "top"),
        ("beside their own", BUCKET, f"{OURS}x/key"), ("that is their id alone", BUCKET, OURS), ("in no bucket", "no-such-bucket-here", f"{OURS}/key"),
    ):  # fmt: skip
        for verb, expected, call, options in (
            ("get", "AccessDenied", s3.get_object, {}), ("look at", "403", s3.head_object, {}), ("put", "AccessDenied", s3.put_object, {"Body": b"evil"}),
            ("delete", "AccessDenied", s3.delete_object, {}), ("begin", "AccessDenied", s3.create_multipart_upload, {}),
            ("copy onto", "AccessDenied", s3.copy_object, {"CopySource": f"{BUCKET}/{ROOT}/context.tar"}),
        ):  # fmt: skip
            refused(f"to {verb} one {what}", expected, call, Bucket=name, Key=key, **options)
    for source in (f"{BUCKET}/{theirs}", f"{elsewhere}/{OURS}/key", f"{BUCKET}/top", f"{BUCKET}/{OURS}/../{theirs}", f"{BUCKET}/{OURS}%2F..%2F{theirs}"):
        answer = ask_as_guest("PUT", f"/{BUCKET}/{ROOT}/stolen", headers={"x-amz-copy-source": source})
        check(f"to copy {source.replace(theirs, '…').replace(elsewhere, '…').replace(OURS, 'ours')}", answer.status in (400, 403, 404), answer.status)
    upload = {"Bucket": BUCKET, "Key": f"{ROOT}/stolen", "UploadId": s3.create_multipart_upload(Bucket=BUCKET, Key=f"{ROOT}/stolen")["UploadId"]}
    refused("to copy a part of theirs", "AccessDenied", s3.upload_part_copy, **upload, PartNumber=1, CopySource=f"{BUCKET}/{theirs}")
    foreign = {"Bucket": BUCKET, "Key": theirs, "UploadId": owner.create_multipart_upload(Bucket=BUCKET, Key=theirs)["UploadId"]}
    tag = owner.upload_part(**foreign, PartNumber=1, Body=b"part")["ETag"]
    for verb, call, options in (("send a part of", s3.upload_part, {"PartNumber": 1, "Body": b"evil"}), ("complete", s3.complete_multipart_upload, {"MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": tag}]}}),
                                ("abort", s3.abort_multipart_upload, {}), ("list the parts of", s3.list_parts, {})):  # fmt: skip
        refused(f"to {verb} an upload of theirs", "AccessDenied", call, **foreign, **options)
        # with a key of one's own and the number of somebody else's upload
        refused(f"to {verb} it by its number", ["AccessDenied", "NoSuchUpload"], call, **{**foreign, "Key": f"{ROOT}/stolen"}, **options)
    owner.abort_multipart_upload(**foreign)
    for path in (f"/{BUCKET}/{OURS}/../{theirs}", f"/{BUCKET}/{OURS}/./../{theirs}", f"/{BUCKET}/{ROOT}/../../{theirs}", f"/{BUCKET}//{theirs}"):
        answer = ask_as_guest("GET", path)
        check(f"to get by {path.replace(theirs, '…').replace(OURS, 'ours')[:40]}", answer.status in (400, 403, 404) and b"theirs" not in answer.body, answer.status)
    answer = ask_as_guest("GET", f"/{theirs}", host=f"{BUCKET}.localhost:{ADDRESS.port}")
    answered("to get by the other style", "AccessDenied", answer)
    equal("what is theirs stays so", [b"theirs", b"elsewhere", b"top"], [content(owner, BUCKET, theirs), content(owner, elsewhere, f"{OURS}/key"), content(owner, BUCKET, "top")])
    equal("nothing was stolen", None, content(owner, BUCKET, f"{ROOT}/stolen"))
    owner.abort_multipart_upload(**upload)

with part("what they may not"):
    refused("to delete what is theirs", "AccessDenied", s3.delete_object, Bucket=BUCKET, Key=f"{ROOT}/context.tar")
    try:
        told = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": f"{ROOT}/context.tar"}, {"Key": theirs}]})
        equal("to delete many", ["AccessDenied"] * 2, [one["Code"] for one in told.get("Errors", [])])
    except Exception as error:
        check("to delete many", "AccessDenied" in str(error), error)
    equal("they are there", [data, b"theirs"], [content(owner, BUCKET, f"{ROOT}/context.tar"), content(owner, BUCKET, theirs)])
    for what, options in {"all": {}, "an empty prefix": {"Prefix": ""}, "another's prefix": {"Prefix": f"{FOREIGN}/"}, "a part of their own id": {"Prefix": OURS[:8]},
                          "what begins as theirs does": {"Prefix": f"{OURS}x"}, "all by its first level": {"Delimiter": "/"}, "a way up": {"Prefix": f"{OURS}x/../"}}.items():  # fmt: skip
        refused(f"to list {what}", "AccessDenied", s3.list_objects_v2, Bucket=BUCKET, **options)
        refused(f"to list {what}, the first way", "AccessDenied", s3.list_objects, Bucket=BUCKET, **options)
    refused("to list another bucket", "AccessDenied", s3.list_objects_v2, Bucket=elsewhere, Prefix=f"{OURS}/")
    refused("to list uploads", "AccessDenied", s3.list_multipart_uploads, Bucket=BUCKET)
    twice = ask_as_guest("GET", f"/{BUCKET}", [("list-type", "2"), ("prefix", f"{FOREIGN}/"), ("prefix", f"{OURS}/")])
    check("to list with two prefixes", twice.status in (400, 403) or theirs.encode() not in twice.body, twice.status)
    new = f"evil-{os.urandom(4).hex()}"
    refused("to make a bucket", "AccessDenied", s3.create_bucket, Bucket=new)
    refused("to delete a bucket", "AccessDenied", s3.delete_bucket, Bucket=BUCKET)
    refused("to delete another bucket", "AccessDenied", s3.delete_bucket, Bucket=elsewhere)
    refused("to list buckets", "AccessDenied", s3.list_buckets)
    check("none was made", new not in [one["Name"] for one in owner.list_buckets()["Buckets"]])

with part("the token"):
    other = push_access()
    for what, changed, expected in (
        ("none", {"sessionToken": None}, ["InvalidAccessKeyId", "InvalidToken", "AccessDenied"]), ("a wrong one", {"sessionToken": "nonsense"}, ["InvalidToken"]),
        ("a longer one", {"sessionToken": access["sessionToken"] + "x"}, ["InvalidToken"]), ("a changed one", {"sessionToken": access["sessionToken"].swapcase()}, ["InvalidToken"]),
        ("the owner's key with it", {"accessKey": "minioadmin", "secret": SECRET}, ["InvalidToken", "InvalidAccessKeyId", "AccessDenied"]),
        ("a wrong secret", {"secret": access["secret"][::-1]}, ["SignatureDoesNotMatch"]), ("another key", {"accessKey": "NOBODYKNOWSTHISKEY00"}, ["InvalidAccessKeyId"]),
    ):  # fmt: skip
        refused(f"{what}", expected, guest(access, **changed).get_object, Bucket=BUCKET, Key=f"{ROOT}/context.tar")
    if other["accessKey"] != access["accessKey"]:
        refused("that of another key", ["InvalidToken"], guest(access, sessionToken=other["sessionToken"]).get_object, Bucket=BUCKET, Key=f"{ROOT}/context.tar")
        refused("that of another key, with its secret", ["InvalidToken", "SignatureDoesNotMatch"], guest(other, accessKey=access["accessKey"]).get_object, Bucket=BUCKET, Key=f"{ROOT}/context.tar")
    # a token that was added after the request was signed is not part of what was signed
    signature = Signature("GET", f"/{BUCKET}/{ROOT}/context.tar", payload=sha256(b""), key=access["accessKey"], secret=access["secret"])
    answer = send("GET", signature.target, {**signature.headers, "x-amz-security-token": access["sessionToken"]})
    check("one that is not signed", answer.status in (400, 403), answer.status)
    equal("the right one is still good", data, content(s3, BUCKET, f"{ROOT}/context.tar"))
    answered("nobody", "AccessDenied", send("GET", f"/{BUCKET}/{ROOT}/context.tar", {"host": HOST}))

for key in (f"{ROOT}/context.tar", f"{ROOT}/", f"{ROOT}/parts", theirs, "top"):
    owner.delete_object(Bucket=BUCKET, Key=key)
finish()
