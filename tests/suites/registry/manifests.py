"""Manifests as they are pushed: what is taken as it is, what is refused, tags and subjects; push.py counts them."""

import json

from counts import check, equal, part
from registry import DOCKER_CONFIG, DOCKER_IMAGE, DOCKER_LAYER, DOCKER_LIST, MIB, NOTHING, OCI_CONFIG, OCI_EMPTY
from registry import OCI_IMAGE, OCI_INDEX, OCI_LAYER, ask, descriptor, digest_of, document, get_blob, push_blob
from registry import push_image, put_manifest, random_blob, refused, repository

name = repository()
CONFIG, LAYER, EMPTY = b'{"architecture":"amd64","os":"linux"}', random_blob(), b"{}"
INVALID = "MANIFEST_INVALID", "DIGEST_INVALID", "SIZE_INVALID"


def put(where, reference, image):
    """Puts the manifest of an image that was pushed."""
    return put_manifest(where, reference, image.manifest)


def found(reference):
    """What is there of a manifest: status, bytes and media type."""
    answer = ask("GET", f"/v2/{name}/manifests/{reference}")
    return answer.status, answer.body, answer.headers["Content-Type"]


def image(media_type=OCI_IMAGE, config=CONFIG, layer=LAYER, **fields):
    """A manifest of what is in the repository."""
    kinds = (OCI_CONFIG, OCI_LAYER) if media_type == OCI_IMAGE else (DOCKER_CONFIG, DOCKER_LAYER)
    whole = {"config": descriptor(config, kinds[0]), "layers": [descriptor(layer, kinds[1])]} | fields
    return document(media_type, **whole)


def taken(what, data, media_type, header=None):
    """Counts whether a manifest is taken by tag and by digest, and comes back as it was."""
    for reference in f"kind-{digest_of(data)[7:20]}", digest_of(data):
        how = "by digest" if ":" in reference else "by tag"
        answer = put_manifest(name, reference, data, header or media_type)
        equal(f"{what} {how}", (201, digest_of(data)), (answer.status, answer.headers["Docker-Content-Digest"]))
        if answer.status == 201:
            equal(f"{what} {how}: where it is", data, ask("GET", answer.location).body)
        equal(f"{what} {how}: it is as it was", (200, data, media_type), found(reference))


def kinds():
    """Manifests of every kind."""
    for blob in CONFIG, LAYER, EMPTY:
        push_blob(name, blob)
    oci, docker = image(), image(DOCKER_IMAGE)
    taken("an OCI image", oci, OCI_IMAGE)
    taken("an image of Docker", docker, DOCKER_IMAGE)
    amd = {"platform": {"architecture": "amd64", "os": "linux"}}
    members = [descriptor(oci, OCI_IMAGE, **amd), descriptor(docker, DOCKER_IMAGE, **amd)]
    taken("an OCI index", document(OCI_INDEX, manifests=members), OCI_INDEX)
    taken("a list of Docker", document(DOCKER_LIST, manifests=members), DOCKER_LIST)
    taken(
        "an index of an index",
        document(OCI_INDEX, manifests=[descriptor(document(OCI_INDEX, manifests=members), OCI_INDEX)]),
        OCI_INDEX,
    )
    taken("an empty index", document(OCI_INDEX, manifests=[]), OCI_INDEX)
    empty = descriptor(EMPTY, OCI_EMPTY)
    taken("an artifact", document(OCI_IMAGE, artifactType="application/x.test", config=empty, layers=[empty]), OCI_IMAGE)
    inline = empty | {"data": "e30="}
    taken(
        "an artifact with its data",
        document(OCI_IMAGE, artifactType="application/x.test", config=inline, layers=[inline]),
        OCI_IMAGE,
    )
    taken("an image without layers", image(layers=[]), OCI_IMAGE)
    taken("a layer that comes twice", image(layers=[descriptor(LAYER, OCI_LAYER)] * 2), OCI_IMAGE)
    taken("a layer of a kind that nobody knows", image(layers=[descriptor(LAYER, "application/x.unknown")]), OCI_IMAGE)
    taken("without a media type inside", document(None, **json.loads(image(note=1)) | {"mediaType": None}), OCI_IMAGE)
    odd = json.dumps(json.loads(image()) | {"annotations": {"ä": "\u2028", "a": "\ud83d\ude00"}}, indent="\t", sort_keys=True)
    taken("odd spaces and letters", f"\n{odd}\r\n \n".encode(), OCI_IMAGE)
    taken("letters as they are", json.dumps(json.loads(odd), ensure_ascii=False).encode(), OCI_IMAGE)
    taken("with parameters of its media type", image(annotations={"a": "1"}), OCI_IMAGE, f"{OCI_IMAGE}; charset=utf-8")
    taken("fields that nobody knows", image(unknown={"a": [1, 2.5, None, True]}), OCI_IMAGE)
    answer = put_manifest(name, "bare", image(annotations={"bare": "1"}), None)
    check("without a media type in its head", answer.status in (201, 400, 415), answer)
    again = put_manifest(name, digest_of(oci), oci)
    equal("the same once more", (201, (200, oci, OCI_IMAGE)), (again.status, found(digest_of(oci))))


def rejected(what, statuses, codes, data, media_type=OCI_IMAGE):
    """Counts whether a manifest is refused, and neither its tag nor its digest is there afterwards."""
    refused(what, statuses, codes, put_manifest(name, "refused", data, media_type))
    equal(f"{what}: it is not there", [404, 404], [found(reference)[0] for reference in ("refused", digest_of(data))])


def refusals():
    """Manifests that are none, or name what is not there."""
    stranger = random_blob()
    push_blob(repository(), stranger)
    gone = "MANIFEST_BLOB_UNKNOWN"
    for what, data in {
        "a layer that is not there": image(layer=b"missing"), "a config that is not there": image(config=b"missing"),
        "nothing of it is there": image(config=b"one", layer=b"two"),
        "a layer of another repository": image(layer=stranger),
    }.items():  # fmt: skip
        rejected(what, [400, 404], gone, data)
        rejected(
            f"{what}, of Docker",
            [400, 404],
            gone,
            data.replace(OCI_IMAGE.encode(), DOCKER_IMAGE.encode()),
            DOCKER_IMAGE,
        )
    check("the blob of another repository stays there", get_blob(name, digest_of(stranger)) is None)
    absent = document(OCI_INDEX, manifests=[{"mediaType": OCI_IMAGE, "digest": NOTHING, "size": 100}])
    answer = put_manifest(name, "sparse", absent, OCI_INDEX)
    check("an index of what is not there is taken, or says so", answer.status == 201 or answer.codes == [gone], answer)
    for what, wrong in {
        "one too many": len(LAYER) + 1,
        "none": 0,
        "negative": -1,
        "not whole": 1.5,
        "text": "9",
        "huge": 2**70,
        "nothing": None,
    }.items():
        layers = [descriptor(LAYER, OCI_LAYER) | {"size": wrong}]
        rejected(f"a size that is {what}", 400, INVALID, image(layers=layers))
    rejected("a size of the config that is wrong", 400, INVALID, image(config=CONFIG).replace(b'"size": 37', b'"size": 38'))
    for bad in "sha256:abc", "sha256:../../../etc/passwd", "", "md5:" + "0" * 32, 5, None, "sha256:" + "A" * 64:
        layers = [descriptor(LAYER, OCI_LAYER) | {"digest": bad}]
        rejected(f"the digest {str(bad)[:20]}", [400, 404], [*INVALID, gone], image(layers=layers))
    for key in "Layers", "CONFIG", "manifestS":
        rejected(f"a member that some read as another, {key}", 400, INVALID, image(**{key: []}))
    many = [{"mediaType": OCI_LAYER, "digest": digest_of(b"%d" % one), "size": 1} for one in range(20_000)]
    rejected("more layers than anybody has", 400, [*INVALID, gone], image(layers=many))
    repeated = put_manifest(name, "repeated", image(layers=[descriptor(LAYER, OCI_LAYER)] * 20_000))
    check("one layer very often", repeated.status in (201, 400), repeated)
    two = [descriptor(LAYER, OCI_LAYER), descriptor(LAYER, OCI_LAYER) | {"size": 1}]
    rejected("two sizes of one layer", 400, INVALID, image(layers=two))
    both = image(manifests=[{"mediaType": OCI_IMAGE, "digest": NOTHING, "size": 100}])
    rejected("layers and manifests", 400, INVALID, both)
    rejected("manifests and layers", 400, INVALID, both.replace(OCI_IMAGE.encode(), OCI_INDEX.encode(), 1), OCI_INDEX)
    rejected(
        "layers and manifests, of Docker",
        400,
        INVALID,
        both.replace(OCI_IMAGE.encode(), DOCKER_IMAGE.encode(), 1),
        DOCKER_IMAGE,
    )
    for said, sent in (
        (OCI_IMAGE, DOCKER_IMAGE),
        (DOCKER_IMAGE, OCI_IMAGE),
        (OCI_IMAGE, OCI_INDEX),
        (OCI_IMAGE, DOCKER_LIST),
    ):
        rejected(f"{said} sent as {sent}", [400, 415], [*INVALID, "UNSUPPORTED"], image(said, nonce=sent), sent)
    rejected(
        "an index sent as an image",
        [400, 415],
        [*INVALID, "UNSUPPORTED"],
        document(OCI_INDEX, manifests=[]) + b" ",
        OCI_IMAGE,
    )
    whole = json.loads(image())
    for what, data in {
        "no JSON": b"hello", "nothing": b"", "half a document": image()[:-10], "a list": b"[]", "a text": b'"a"',
        "a number": b"5", "nothing in it": b"{}", "null": b"null", "more after its end": image() + b"{}",
        "bytes that are no text": b'{"a":"\xff\xfe"}', "brackets without an end": b"[" * 100_000,
        "deep brackets": b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "layers that are no list": image(layers={}),
        "layers of numbers": image(layers=[1, 2]), "no config": document(OCI_IMAGE, layers=whole["layers"]),
        "a config that is a list": document(OCI_IMAGE, config=[], layers=[]), "another version": image(schemaVersion=1),
        "no layers": document(OCI_IMAGE, config=whole["config"]), "a NUL": image().replace(b"amd64", b"a\0b") + b"\0",
    }.items():  # fmt: skip
        rejected(f"a document: {what}", 400, INVALID, data)
    rejected("an index: manifests that are no list", 400, INVALID, document(OCI_INDEX, manifests={"a": 1}), OCI_INDEX)
    rejected("an index: without manifests", 400, INVALID, document(OCI_INDEX), OCI_INDEX)
    first = b'{"schemaVersion":1,"name":"a","tag":"b","architecture":"amd64","fsLayers":[],"history":[],"signatures":[]}'
    for kind in (
        "application/vnd.docker.distribution.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v1+prettyjws",
    ):
        rejected(f"the first schema as {kind[-20:]}", [400, 415], [*INVALID, "UNSUPPORTED"], first, kind)
    plain = document(OCI_IMAGE, **whole | {"mediaType": None})
    for kind in (
        "application/json",
        "text/plain",
        "application/octet-stream",
        "nonsense",
        f"{OCI_IMAGE}x",
        OCI_CONFIG,
        "a" * 1000,
    ):
        rejected(f"the media type {kind[:40]}", [400, 415], [*INVALID, "UNSUPPORTED"], plain, kind)
    data = image(annotations={"digest": "wrong"})
    refused("a digest that is another's", 400, ["DIGEST_INVALID", "MANIFEST_INVALID"], put_manifest(name, NOTHING, data))
    equal(
        "a digest that is another's: nothing is there",
        [404, 404],
        [found(reference)[0] for reference in (NOTHING, digest_of(data))],
    )
    for bad in "sha256:abc", "md5:" + "0" * 32, "sha256:" + "A" * 64:
        answer = put_manifest(name, bad, data)
        check(
            f"the reference {bad[:20]} is none",
            answer.status in (400, 404) and found(digest_of(data))[0] == 404,
            answer,
        )
    before = push_image(name, "stays")
    put_manifest(name, "stays", image(layer=b"missing"))
    equal("a tag stays where it is when its push is refused", before.manifest, found("stays")[1])


def sizes():
    """Manifests up to 4 MiB, and beyond."""
    bare = len(image(annotations={"fill": ""}))
    for what, size in {"4 MiB": 4 * MIB, "a million bytes": 1_000_000}.items():
        data = image(annotations={"fill": "x" * (size - bare)})
        equal(f"{what}: so long", size, len(data))
        answer = put_manifest(name, f"large-{size}", data)
        equal(f"{what}: taken", 201, answer.status)
        check(f"{what}: as it was", found(f"large-{size}")[1] == data)
    data = image(annotations={"fill": "x" * (4 * MIB - bare + 1)})
    codes = "MANIFEST_INVALID", "SIZE_INVALID", "TOOBIG", "UNSUPPORTED", "DENIED", "TOOMANYREQUESTS"
    for what, body in {
        "beyond 4 MiB": data,
        "beyond it without a length": [data[:MIB], data[MIB:]],
        "far beyond it": data * 4,
    }.items():
        with part(what):
            answer = put_manifest(name, "larger", body)
            equal(f"{what}: too large", 413, answer.status)
            check(f"{what}: it says so", set(answer.codes) <= set(codes), answer)
            equal(f"{what}: it is not there", 404, found("larger")[0])


def tags():
    """What tags may be, and where they go."""
    one, two = push_image(name, "moved"), push_image(name)
    for good in (
        "_",
        "A",
        "a",
        "0",
        "v1.0-rc_2",
        "__--..",
        "a" * 128,
        "latest",
        "Case",
        "case",
        "sha256-" + "0" * 64,
        "1.2.3",
    ):
        which = two if good == "Case" else one
        answer = put(name, good, which)
        equal(f"the tag {good[:20]}", (201, (200, which.manifest, OCI_IMAGE)), (answer.status, found(good)))
    for bad in (
        "-a",
        ".a",
        "a" * 129,
        "a%20b",
        "a+b",
        "a%2Fb",
        "a:b",
        "%C3%A4",
        "a%00b",
        "a@b",
        "a%0Ab",
        "~",
        "%25",
        "..",
        "a,b",
    ):
        answer = put(name, bad, one)
        known = {*INVALID, "TAG_INVALID", "NAME_INVALID", "UNSUPPORTED", "MANIFEST_UNKNOWN", "NAME_UNKNOWN"}
        check(f"{bad[:20]} is no tag", answer.status in (400, 404) and set(answer.codes) <= known, answer)
    listed = ask("GET", f"/v2/{name}/tags/list").json["tags"]
    check(
        "none of them is listed",
        not [tag for tag in listed if tag[0] in "-.~" or not tag.isascii() or len(tag) > 128],
        listed,
    )
    equal("a tag moves", 201, put(name, "moved", two).status)
    equal("it is there", two.manifest, found("moved")[1])
    equal("what it left is there by its digest", one.manifest, found(one.digest)[1])
    equal("it is listed once", 1, ask("GET", f"/v2/{name}/tags/list").json["tags"].count("moved"))
    equal("a tag moves back", (201, one.manifest), (put(name, "moved", one).status, found("moved")[1]))


def subjects():
    """Manifests that refer to another."""
    subject = push_image(name)
    to = subject.descriptor
    answer = put_manifest(name, "without", image(annotations={"no": "subject"}))
    equal("without a subject nothing is said of one", (201, None), (answer.status, answer.headers["OCI-Subject"]))
    for what, data, kind in [
        ("an image", image(subject=to), OCI_IMAGE),
        ("an index", document(OCI_INDEX, manifests=[], subject=to), OCI_INDEX),
        ("of what is not there", image(subject=to | {"digest": NOTHING}), OCI_IMAGE),
    ]:  # fmt: skip
        answer = put_manifest(name, digest_of(data), data, kind)
        expected = json.loads(data)["subject"]["digest"]
        equal(f"a subject: {what}", (201, expected), (answer.status, answer.headers["OCI-Subject"]))
    answer = put_manifest(name, "signed", image(subject=to, annotations={"by": "tag"}))
    equal("a subject: by tag", (201, subject.digest), (answer.status, answer.headers["OCI-Subject"]))
    for what, wrong in {"a text": "a", "no digest": to | {"digest": "abc"}, "a list": []}.items():
        rejected(f"a subject that is {what}", 400, INVALID, image(subject=wrong))
