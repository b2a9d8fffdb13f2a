"""One day in the life of a bucket, by both schemes and both styles of addresses, all on one port.

HARBOR_TEST_S3_URL may have either scheme: this program uses both, and needs the authority's certificate.
"""

import os
import ssl
import urllib.request
from socket import create_connection

from counts import check, equal, finish, part
from storage import ADDRESS, AUTHORITY, HOST, MIB, all_keys, ask, bucket, bucket_name, client, content, etag, refused
from storage import sha256

OWN = os.environ.get("HARBOR_TEST_S3_BUCKET", "daytona")  # the bucket that is always there, whose name the certificate has
SCHEMES = ["http", "https"] if AUTHORITY else ["http"]


def life(s3, name, where):
    """Everything that addresses a bucket or an object in a way of its own."""
    key, data = f"life/{bucket_name()}/a b+c%20d/ü", os.urandom(1000)
    check(f"{where}: the bucket is there", s3.head_bucket(Bucket=name))
    equal(f"{where}: its entity tag", etag(data), s3.put_object(Bucket=name, Key=key, Body=data)["ETag"])
    equal(f"{where}: what was put", data, content(s3, name, key))
    equal(f"{where}: its length", 1000, s3.head_object(Bucket=name, Key=key)["ContentLength"])
    equal(f"{where}: the list", [key], [found["Key"] for found in s3.list_objects_v2(Bucket=name, Prefix=key)["Contents"]])
    s3.copy_object(Bucket=name, Key=f"{key}-2", CopySource={"Bucket": name, "Key": key})
    equal(f"{where}: a copy", data, content(s3, name, f"{key}-2"))
    upload = {"Bucket": name, "Key": f"{key}-3", "UploadId": s3.create_multipart_upload(Bucket=name, Key=f"{key}-3")["UploadId"]}
    tags = [s3.upload_part(**upload, PartNumber=number, Body=piece)["ETag"] for number, piece in ((1, bytes(5 * MIB)), (2, data))]
    parts = {"Parts": [{"PartNumber": number, "ETag": tag} for number, tag in enumerate(tags, 1)]}
    s3.complete_multipart_upload(**upload, MultipartUpload=parts)
    equal(f"{where}: in parts", sha256(bytes(5 * MIB) + data), sha256(content(s3, name, f"{key}-3")))
    url = s3.generate_presigned_url("get_object", {"Bucket": name, "Key": key}, ExpiresIn=60)
    context = ssl.create_default_context(cafile=AUTHORITY)
    with urllib.request.urlopen(url, timeout=60, context=context if url.startswith("https") else None) as answer:
        equal(f"{where}: by a link", data, answer.read())
    gone = s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key}, {"Key": f"{key}-2"}, {"Key": f"{key}-3"}]})
    equal(f"{where}: three are deleted", 3, len(gone.get("Deleted", [])))
    equal(f"{where}: and gone", [], [found for found in all_keys(s3, name) if found.startswith(key)])
    refused(f"{where}: what is not there", "NoSuchKey", s3.get_object, Bucket=name, Key=key)


for scheme in SCHEMES:
    for style in ("path", "virtual"):
        s3 = client(url=f"{scheme}://{HOST}", style=style)
        # a certificate has names of buckets that are known when it is made, and no name for all below localhost
        where = f"{scheme}, {style} style"
        with part(where):
            life(s3, OWN, f"{where}, {OWN}")
        if (scheme, style) != ("https", "virtual"):
            with part(f"{where}, another bucket"):
                life(s3, bucket(s3), f"{where}, another bucket")
        with part(f"{where}, buckets"):
            check(f"{where}: the list of buckets", OWN in [found["Name"] for found in s3.list_buckets()["Buckets"]])

with part("names of hosts"):
    s3 = client(url=f"http://{HOST}")
    s3.put_object(Bucket=OWN, Key="names-of-hosts", Body=b"here")
    own = f"{OWN}.localhost:{ADDRESS.port}"
    equal("the bucket is in the name of the host", b"here", ask("GET", "/names-of-hosts", host=own).body)
    for host in (f"127.0.0.1:{ADDRESS.port}", f"[::1]:{ADDRESS.port}", "anything.test", "127.0.0.1.test"):
        equal(f"no bucket in {host}", b"here", ask("GET", f"/{OWN}/names-of-hosts", host=host).body)
    equal("no bucket of that name", "NoSuchBucket", ask("GET", "/key", host=f"{bucket_name()}.localhost:{ADDRESS.port}").code)
    s3.delete_object(Bucket=OWN, Key="names-of-hosts")



def believed(context, name):
    """Whether a client with these authorities takes the endpoint for `name`."""
    with create_connection((ADDRESS.hostname, ADDRESS.port), timeout=30) as plain:
        try:
            context.wrap_socket(plain, server_hostname=name).close()
        except ssl.SSLCertVerificationError:
            return False
        return True


if AUTHORITY:
    with part("trust"):
        own = ssl.create_default_context(cafile=AUTHORITY)
        for name in ("localhost", "127.0.0.1", f"{OWN}.localhost"):
            check(f"its own authority vouches for {name}", believed(own, name))
        check("not for another name", not believed(own, "elsewhere.test"))
        check("no other authority does", not believed(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), "localhost"))
        check("the authority's file has no secrets", "PRIVATE" not in open(AUTHORITY).read())
finish()
