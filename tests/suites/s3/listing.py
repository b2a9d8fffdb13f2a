"""Lists of keys, also of odd ones, against a model: both kinds, prefixes, delimiters, pages and escapes."""

import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import unquote_plus

from counts import check, equal, finish, part
from storage import all_keys, answered, ask, bucket, client, content, etag, refused

s3 = client()
KEYS = [
    "a", "a/b", "a/b/c", "a.", "a b", "a+b", "a%20b", "a%2Fb", "a&b=c", "a<b>&amp;\"c'", "A", "B/a", "b/", "b/c", "q?x=1#f", "semi;colon,comma",
    "back\\slash", "star*", "~tilde", "trailing ", " leading", "two  spaces", "dir/", "dir/file", "dir/sub/file", "dir-x/file", "dir.x", "x//y", "x//",
    "x///z", "/lead", "//two", "dots/../inside", "dots/./inside", "dots/...", ".hidden", "...", "ü/ö", "e\u0301", "\u00e9", "日本/語", "\U0001f600/\uffee",
    "\uffee", "$@!()[]{}^`|:", "%", "%%", "%zz", "con", "tab\tkey", "line\nkey", "null", "0", "-", "k" * 1024, "ü" * 512, "/".join("d" * 40),
    "x" * 255 + "/" + "y" * 255 + "/" + "z" * 255, "x" * 300, ".tmp-upload", "meta.json", "etag", "a/.meta",
]  # fmt: skip
# a way up that leads out of the bucket, and names that are no names: kept to the letter or refused, and nothing else
PERHAPS = [".", "..", "../up", "a/../../../up", "../../../../../../tmp/harbor-escaped", "/../up", "./", "nul\0key", "..\\up", "\x01control", "\x7fdel"]


def model(keys, prefix="", delimiter="", after=""):
    """What a list holds: keys and common prefixes."""
    found, common = [], set()
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix) or key.encode() <= after.encode():
            continue
        end = key.find(delimiter, len(prefix)) if delimiter else -1
        if end < 0:
            found.append(key)
        else:
            common.add(key[: end + len(delimiter)])
    return found, sorted(common, key=str.encode)


def pages(kind, size=1000, **options):
    """The pages of one of the two kinds of lists; each shows that it keeps to its size."""
    token, first = None, True
    while first or token:
        first = False
        wanted = {**options, "Bucket": name, "MaxKeys": size}
        if token:
            wanted["ContinuationToken" if kind == 2 else "Marker"] = token
        page = s3.list_objects_v2(**wanted) if kind == 2 else s3.list_objects(**wanted)
        keys = [found["Key"] for found in page.get("Contents", [])]
        common = [found["Prefix"] for found in page.get("CommonPrefixes", [])]
        assert len(keys) + len(common) <= size, f"{len(keys)} + {len(common)} in a page of {size}"
        if kind == 2:
            assert page["KeyCount"] == len(keys) + len(common), f"{page['KeyCount']} is not {len(keys)} + {len(common)}"
        yield keys, common
        if not page["IsTruncated"]:
            return
        assert keys or common, "an empty page that is not the last one"
        # without a delimiter the first kind goes on after its last key
        token = page["NextContinuationToken"] if kind == 2 else page.get("NextMarker") or keys[-1]


def listed(kind, size=1000, **options):
    found = list(pages(kind, size, **options))
    return [key for keys, _ in found for key in keys], [prefix for _, common in found for prefix in common]


name = bucket(s3)
stored = list(KEYS)
with part("keys"):
    for key in KEYS:
        with part(f"the key {key[:30]!r}"):
            s3.put_object(Bucket=name, Key=key, Body=key.encode(), Metadata={"length": str(len(key))})
    for key in KEYS:
        with part(f"the key {key[:30]!r}"):
            found = s3.get_object(Bucket=name, Key=key)
            told = (found["Body"].read(), found["ETag"], found["Metadata"])
            equal(f"the key {key[:30]!r}", (key.encode(), etag(key.encode()), {"length": str(len(key))}), told)
    for key in PERHAPS:
        with part(f"the key {key!r}"):
            answer = ask("PUT", f"/{name}/{key}", body=key.encode())
            check(f"{key!r} is kept or refused", answer.status == 200 or 400 <= answer.status < 500, (answer.status, answer.body))
            if answer.status == 200:
                stored.append(key)
                equal(f"{key!r} is kept", key.encode(), ask("GET", f"/{name}/{key}").body)
    answered("1025 bytes", "KeyTooLongError", ask("PUT", f"/{name}/{'k' * 1025}"))
    answered("1026 bytes in 513 letters", "KeyTooLongError", ask("PUT", f"/{name}/{'ü' * 513}"))
    other = bucket(s3)
    for target in (f"/{other}/%ff%fe", f"/{other}/a%c0%afb"):
        answer = ask("PUT", f"/{other}/a", body=b"data", target=target)
        check(f"no text: {target[-9:]}", 400 <= answer.status < 500, answer.status)
    equal("no other bucket has come of that", True, all(re.fullmatch(r"[a-z0-9.-]{3,63}", one["Name"]) for one in s3.list_buckets()["Buckets"]))

with part("all"):
    everything = sorted(stored, key=str.encode)
    for kind in (2, 1):
        equal(f"all by kind {kind}, in the order of bytes", everything, listed(kind)[0])
    first = s3.list_objects_v2(Bucket=name, Prefix="dir/file", FetchOwner=True)
    told = first["Contents"][0]
    equal("what is told of each", (8, etag(b"dir/file"), "STANDARD"), (told["Size"], told["ETag"], told["StorageClass"]))
    equal("the time is the object's", s3.head_object(Bucket=name, Key="dir/file")["LastModified"], told["LastModified"].replace(microsecond=0))
    equal("and of all", (name, "dir/file", 1000, False), (first["Name"], first["Prefix"], first["MaxKeys"], first["IsTruncated"]))

with part("prefixes and delimiters"):
    for prefix in ("", "a", "a/", "a/b", "dir", "dir/", "dir/s", "x/", "x//", "/", "//", "%", "%2", "a%2", "a+", "a ", "ü", "ü/", "e", "日", "k" * 500, "none", "dots/", ".", "\U0001f600"):
        for delimiter in ("", "/", "//", "b", "%", "+", " ", "ö", "none"):
            for kind in (2, 1):
                with part(f"kind {kind}, {prefix[:9]!r} and {delimiter!r}"):
                    options = {"Prefix": prefix, **({"Delimiter": delimiter} if delimiter else {})}
                    equal(f"kind {kind}, {prefix[:9]!r} and {delimiter!r}", model(stored, prefix, delimiter), listed(kind, **options))

with part("pages"):
    for prefix, delimiter in (("", ""), ("", "/"), ("dir/", "/"), ("a", "b"), ("x/", "/")):
        options = {"Prefix": prefix, **({"Delimiter": delimiter} if delimiter else {})}
        for size in (1, 2, 3, 7):
            for kind in (2, 1):
                with part(f"pages of {size}, kind {kind}, {prefix!r} and {delimiter!r}"):
                    equal(f"pages of {size}, kind {kind}, {prefix!r} and {delimiter!r}", model(stored, prefix, delimiter), listed(kind, size, **options))
    page = s3.list_objects_v2(Bucket=name, MaxKeys=0)
    equal("a page of nothing", (0, False), (page["KeyCount"], page["IsTruncated"]))
    for after in ("", "a", "a/", "a/b", "dir", "dir/", "m", "x//", "\U0001f600", "none", "zzz"):
        equal(f"after {after!r}", model(stored, after=after)[0], listed(2, 5, StartAfter=after)[0])
        equal(f"with the marker {after!r}", model(stored, after=after)[0], [found["Key"] for found in s3.list_objects(Bucket=name, Marker=after).get("Contents", [])])
    equal("after a key, with a prefix", model(stored, "dir", after="dir/file")[0], listed(2, Prefix="dir", StartAfter="dir/file")[0])
    equal("after a key, before the prefix", model(stored, "dir")[0], listed(2, Prefix="dir", StartAfter="a")[0])
    token = s3.list_objects_v2(Bucket=name, MaxKeys=4)["NextContinuationToken"]
    page = s3.list_objects_v2(Bucket=name, MaxKeys=4, ContinuationToken=token, StartAfter="zzz")
    equal("a token counts more than a start", everything[4:8], [found["Key"] for found in page["Contents"]])
    for what, query in {"a size below nothing": ("max-keys", "-1"), "no size": ("max-keys", "x"), "no token": ("continuation-token", "nonsense"),
                        "an odd token": ("continuation-token", "../../etc"), "an odd encoding": ("encoding-type", "rot13")}.items():  # fmt: skip
        answered(what, "InvalidArgument", ask("GET", f"/{name}", [("list-type", "2"), query]))

with part("escapes"):
    for kind in ([("list-type", "2")], []):
        answer = ask("GET", f"/{name}", [*kind, ("encoding-type", "url"), ("prefix", "a"), ("delimiter", "%")])
        keys = [unquote_plus(key) for key in re.findall(r"<Key>([^<]*)</Key>", answer.body.decode())]
        common = [unquote_plus(key) for key in re.findall(r"<CommonPrefixes><Prefix>([^<]*)</Prefix>", answer.body.decode())]
        equal("keys and prefixes are escaped", model(stored, "a", "%"), (keys, common))
        check("so is the delimiter", b"<Delimiter>%25</Delimiter>" in answer.body, answer.body[:400])
        check("it is said how", b"<EncodingType>url</EncodingType>" in answer.body, answer.body[:400])
    # as minio-go has them: a bare prefix, with a delimiter
    answer = ask("GET", f"/{name}/", [("list-type", "2"), ("delimiter", "/"), ("prefix", "dir"), ("encoding-type", "url"), ("fetch-owner", "true")])
    equal("a directory by its bare name", ["dir/", "dir-x/"], sorted(re.findall(r"<Prefix>([^<]+/)</Prefix>", answer.body.decode()), reverse=True))
    answer = ask("GET", f"/{name}", [("list-type", "2"), ("prefix", 'a<b>&amp;"c')])
    check("without escapes it is XML", b"<Key>a&lt;b&gt;&amp;amp;" in answer.body, answer.body[:600])

with part("neighbours"):
    s3.delete_object(Bucket=name, Key="a")
    equal("a key goes and those below it stay", (None, b"a/b"), (content(s3, name, "a"), content(s3, name, "a/b")))
    s3.put_object(Bucket=name, Key="a", Body=b"again")
    s3.delete_object(Bucket=name, Key="a/b")
    equal("a key below goes and those beside it stay", (b"again", b"a/b/c"), (content(s3, name, "a"), content(s3, name, "a/b/c")))
    s3.delete_object(Bucket=name, Key="dir/")
    equal("a directory's own object goes alone", (None, b"dir/file"), (content(s3, name, "dir/"), content(s3, name, "dir/file")))
    s3.put_object(Bucket=name, Key="p/q/r", Body=b"deep")
    s3.delete_object(Bucket=name, Key="p/q/r")
    equal("nothing is left above one that is gone", ([], []), listed(2, Prefix="p", Delimiter="/"))
    refused("a directory without an object of its own", "NoSuchKey", s3.get_object, Bucket=name, Key="dir/sub/")
    refused("nor without its end", "NoSuchKey", s3.get_object, Bucket=name, Key="dir/sub")
    equal("deleting that takes nothing", b"dir/sub/file", s3.delete_object(Bucket=name, Key="dir/sub/") and content(s3, name, "dir/sub/file"))

with part("changes between two pages"):
    page = s3.list_objects_v2(Bucket=name, MaxKeys=3)
    rest = model(all_keys(s3, name), after=page["Contents"][-1]["Key"])[0]
    s3.delete_object(Bucket=name, Key=page["Contents"][-1]["Key"])
    page = s3.list_objects_v2(Bucket=name, ContinuationToken=page["NextContinuationToken"])
    equal("the key at which it stopped is gone", rest, [found["Key"] for found in page["Contents"]])

with part("more than a page"):
    many = bucket(s3)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: s3.put_object(Bucket=many, Key=f"{number:04}", Body=b""), range(1005)))
    for size in (None, 1000, 5000):
        page = s3.list_objects_v2(Bucket=many, **({"MaxKeys": size} if size else {}))
        equal(f"a page of {size} has a thousand", (1000, True), (len(page["Contents"]), page["IsTruncated"]))
    equal("two have all", [f"{number:04}" for number in range(1005)], all_keys(s3, many))
finish()
