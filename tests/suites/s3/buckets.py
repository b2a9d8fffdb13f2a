"""Buckets are made, found, kept while something is in them, and removed (https://docs.aws.amazon.com/AmazonS3/latest/API)."""

from botocore.exceptions import ClientError
from counts import check, equal, finish, part
from storage import answered, ask, bucket, bucket_name, client, content, refused

s3 = client()

with part("a bucket"):
    name, absent = bucket(s3), bucket_name()
    check("it is there", s3.head_bucket(Bucket=name))
    listed = {found["Name"]: found["CreationDate"] for found in s3.list_buckets()["Buckets"]}
    check("it is listed, with its time", listed.get(name), listed)
    equal("the list is in order", sorted(listed), list(listed))
    check("its place", s3.get_bucket_location(Bucket=name)["LocationConstraint"] in (None, "", "us-east-1"))
    answered("its place, asked with and without a value", "200", ask("GET", f"/{name}/", [("location", "")]))
    refused("the place of one that is not there", "NoSuchBucket", s3.get_bucket_location, Bucket=absent)
    refused("one that is not there", "404", s3.head_bucket, Bucket=absent)
    refused("nor can it be deleted", "NoSuchBucket", s3.delete_bucket, Bucket=absent)
    refused("nor listed", "NoSuchBucket", s3.list_objects_v2, Bucket=absent)
    refused("nor listed the first way", "NoSuchBucket", s3.list_objects, Bucket=absent)
    refused("nor be put into", "NoSuchBucket", s3.put_object, Bucket=absent, Key="key", Body=b"data")
    refused("nor be got from", "NoSuchBucket", s3.get_object, Bucket=absent, Key="key")
    refused("nor deleted from", "NoSuchBucket", s3.delete_object, Bucket=absent, Key="key")
    refused("nor uploaded to in parts", "NoSuchBucket", s3.create_multipart_upload, Bucket=absent, Key="key")
    check("and is not made by all that", absent not in [found["Name"] for found in s3.list_buckets()["Buckets"]])

with part("deleting"):
    s3.put_object(Bucket=name, Key="deep/down/key", Body=b"data")
    refused("one that is not empty", "BucketNotEmpty", s3.delete_bucket, Bucket=name)
    equal("what is in it stays", b"data", content(s3, name, "deep/down/key"))
    # the region that is used here is the one in which making it again is no error
    try:
        s3.create_bucket(Bucket=name)
        check("made again", True)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        check("made again", code == "BucketAlreadyOwnedByYou", code)
    equal("what is in it stays again", b"data", content(s3, name, "deep/down/key"))
    s3.delete_object(Bucket=name, Key="deep/down/key")
    check("an empty one", s3.delete_bucket(Bucket=name)["ResponseMetadata"]["HTTPStatusCode"] == 204)
    refused("it is gone", "404", s3.head_bucket, Bucket=name)
    refused("nothing can be put into it", "NoSuchBucket", s3.put_object, Bucket=name, Key="key", Body=b"data")
    check("nor is it listed", name not in [found["Name"] for found in s3.list_buckets()["Buckets"]])
    s3.create_bucket(Bucket=name)
    equal("made anew it is empty", 0, s3.list_objects_v2(Bucket=name)["KeyCount"])
    location = '<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><LocationConstraint>us-west-2</LocationConstraint></CreateBucketConfiguration>'
    elsewhere = bucket_name()
    answered("one in another region is made here or refused", ["200", "400"], ask("PUT", f"/{elsewhere}", body=location.encode()))
    ask("DELETE", f"/{elsewhere}")

for what, wrong in {
    "capitals": "Capitals-here", "two letters": "ab", "64 letters": "a" * 64, "two dots": "two..dots", "an underscore": "under_score",
    "a dash at its start": "-dash", "a dash at its end": "dash-", "an address": "192.168.5.4", "a dot at its end": "dot.",
    "a space": "with space", "a way up": "..", "an escaped way up": "../up", "letters beyond ASCII": "bücher",
}.items():  # fmt: skip
    with part(what):
        answered(f"a name with {what}", ["InvalidBucketName", "400", "404", "405"], ask("PUT", f"/{wrong}"))
        check(f"no bucket has {what}", wrong not in [found["Name"] for found in s3.list_buckets()["Buckets"]])

with part("names that are allowed"):
    for right in (f"dots.and-dashes.{bucket_name()}", f"9-{bucket_name()}", bucket_name().ljust(63, "x")):
        s3.create_bucket(Bucket=right)
        s3.put_object(Bucket=right, Key="key", Body=right.encode())
        equal(f"a bucket {right[:12]}… of {len(right)} letters", right.encode(), content(s3, right, "key"))
        s3.delete_object(Bucket=right, Key="key")
        s3.delete_bucket(Bucket=right)

# what is not built must not be taken for the plain call of the same method
with part("sides of objects and buckets"):
    name = bucket(s3)
    s3.put_object(Bucket=name, Key="key", Body=b"data")
    for method, queries in (("PUT", ("acl", "tagging", "retention", "legal-hold")), ("POST", ("restore", "select")), ("DELETE", ("tagging",))):
        for query in queries:
            answer = ask(method, f"/{name}/key", [(query, "")], body=b"other" if method != "DELETE" else b"")
            check(f"{method} ?{query} of an object is no fault", answer.status < 500 or answer.status == 501, answer.status)
    equal("it is as it was", b"data", content(s3, name, "key"))
    both = ("policy", "tagging", "cors", "lifecycle", "website", "encryption")
    s3.delete_object(Bucket=name, Key="key")
    for method, queries in (("PUT", (*both, "acl", "versioning", "notification")), ("DELETE", both)):
        for query in queries:
            answer = ask(method, f"/{name}", [(query, "")], body=b"other" if method == "PUT" else b"")
            check(f"{method} ?{query} of a bucket is no fault", answer.status < 500 or answer.status == 501, answer.status)
    check("the empty bucket is still there", s3.head_bucket(Bucket=name))
finish()
