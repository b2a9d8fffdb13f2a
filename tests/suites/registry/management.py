"""Management: what is deleted is gone, what is needed is not deleted, and methods that do not exist."""

from counts import check, equal, finish, part
from registry import NOTHING, OCI_CONFIG, OCI_IMAGE, OCI_INDEX, OCI_LAYER, ask, at_once, begin, descriptor, digest_of
from registry import document, get_blob, push_blob, push_image, put_manifest, random_blob, refused, repository
from registry import with_digest

name = repository()
MANIFESTS, BLOBS = f"/v2/{name}/manifests", f"/v2/{name}/blobs"
GONE = "MANIFEST_UNKNOWN", "NAME_UNKNOWN"


def delete(target):
    """Deletes it, and says the status."""
    return ask("DELETE", target).status


def tags():
    """What the repository lists."""
    answer = ask("GET", f"/v2/{name}/tags/list")
    return answer.json["tags"] if answer.status == 200 else answer.status


with part("tags"):
    image = push_image(name, "v1", "v2")
    answer = ask("DELETE", f"{MANIFESTS}/v1")
    equal("a tag is deleted", (202, b""), (answer.status, answer.body))
    refused("it is gone", 404, GONE, ask("GET", f"{MANIFESTS}/v1"))
    equal("its head is gone", (404, b""), ask("HEAD", f"{MANIFESTS}/v1")[::2])
    equal("it is not listed", ["v2"], tags())
    equal("the other tag is there", image.manifest, ask("GET", f"{MANIFESTS}/v2").body)
    equal("its manifest is there", image.manifest, ask("GET", f"{MANIFESTS}/{image.digest}").body)
    refused("it is deleted again", 404, GONE, ask("DELETE", f"{MANIFESTS}/v1"))
    equal("the last tag is deleted", 202, delete(f"{MANIFESTS}/v2"))
    equal("no tag is left", [], tags())
    equal("its manifest stays, by its digest", image.manifest, ask("GET", f"{MANIFESTS}/{image.digest}").body)
    equal("a tag that was deleted comes back", 201, put_manifest(name, "v1", image.manifest).status)
    equal("and is there", (["v1"], image.manifest), (tags(), ask("GET", f"{MANIFESTS}/v1").body))

with part("manifests"):
    other = push_image(name, "other")
    put_manifest(name, "v2", image.manifest)
    answer = ask("DELETE", f"{MANIFESTS}/{image.digest}")
    equal("a manifest is deleted", (202, b""), (answer.status, answer.body))
    for reference in image.digest, "v1", "v2":
        refused(f"it is gone by {reference[:10]}", 404, GONE, ask("GET", f"{MANIFESTS}/{reference}"))
    equal("its tags went, too", ["other"], tags())
    equal("another one is there", other.manifest, ask("GET", f"{MANIFESTS}/other").body)
    refused("it is deleted again", 404, GONE, ask("DELETE", f"{MANIFESTS}/{image.digest}"))
    equal("its blobs stay for now", image.layer, get_blob(name, digest_of(image.layer)))
    equal("it is pushed again", 201, put_manifest(name, "v3", image.manifest).status)
    equal("and is there", image.manifest, ask("GET", f"{MANIFESTS}/v3").body)
    equal("without its former tags", ["other", "v3"], tags())
    twin = repository()
    for blob in image.config, image.layer:
        push_blob(twin, blob)
    put_manifest(twin, "twin", image.manifest)
    equal("the same is deleted in one repository", 202, delete(f"{MANIFESTS}/{image.digest}"))
    equal("the other one has it", image.manifest, ask("GET", f"/v2/{twin}/manifests/twin").body)
    equal("with its blobs", image.layer, get_blob(twin, digest_of(image.layer)))

with part("blobs"):
    data = random_blob()
    digest = push_blob(name, data)
    answer = ask("DELETE", f"{BLOBS}/{digest}")
    equal("a blob is deleted", (202, b""), (answer.status, answer.body))
    refused("it is gone", 404, "BLOB_UNKNOWN", ask("GET", f"{BLOBS}/{digest}"))
    equal("its head is gone", (404, b""), ask("HEAD", f"{BLOBS}/{digest}")[::2])
    refused("it is deleted again", 404, "BLOB_UNKNOWN", ask("DELETE", f"{BLOBS}/{digest}"))
    equal("a blob that was deleted comes back", (digest, data), (push_blob(name, data), get_blob(name, digest)))
    needed = push_image(name, "needed")
    for what, blob in {"a layer": needed.layer, "a config": needed.config}.items():
        refused(
            f"{what} that a manifest names stays",
            405,
            ["UNSUPPORTED", "DENIED"],
            ask("DELETE", f"{BLOBS}/{digest_of(blob)}"),
        )
        equal(f"{what} is there", blob, get_blob(name, digest_of(blob)))
    delete(f"{MANIFESTS}/needed")
    equal("a manifest without a tag names it as well", 405, delete(f"{BLOBS}/{digest_of(needed.layer)}"))
    equal("the manifest is deleted", 202, delete(f"{MANIFESTS}/{needed.digest}"))
    for what, blob in {"a layer": needed.layer, "a config": needed.config}.items():
        equal(
            f"then {what} is deleted",
            (202, None),
            (delete(f"{BLOBS}/{digest_of(blob)}"), get_blob(name, digest_of(blob))),
        )
    answer = put_manifest(name, "needed", needed.manifest)
    equal("without them its manifest is not taken", ["MANIFEST_BLOB_UNKNOWN"], sorted(set(answer.codes)))
    shared = random_blob()
    first, second = repository(), repository()
    for where in first, second:
        push_blob(where, shared)
    config = b"{}"
    push_blob(second, config)
    manifest = document(OCI_IMAGE, config=descriptor(config, OCI_CONFIG), layers=[descriptor(shared, "application/x.layer")])
    put_manifest(second, "v1", manifest)
    equal("what only another repository needs is deleted here", 202, delete(f"/v2/{first}/blobs/{digest_of(shared)}"))
    equal(
        "and is gone here only",
        (None, shared),
        (get_blob(first, digest_of(shared)), get_blob(second, digest_of(shared))),
    )

with part("what is to be had elsewhere, too"):
    config, layer = random_blob(), random_blob()
    push_blob(name, config), push_blob(name, layer)
    elsewhere = descriptor(layer, OCI_LAYER, urls=["https://example.test/layer"])
    missing = descriptor(random_blob(), OCI_LAYER, urls=["https://example.test/other"])
    whole = document(OCI_IMAGE, config=descriptor(config, OCI_CONFIG), layers=[elsewhere, missing])
    equal("it may be missing", 201, put_manifest(name, "elsewhere", whole).status)
    answer = ask("DELETE", f"{BLOBS}/{digest_of(layer)}")
    refused("what was pushed of it stays", 405, ["UNSUPPORTED", "DENIED"], answer)

with part("indexes"):
    one, two = push_image(name), push_image(name)
    index = document(OCI_INDEX, manifests=[one.descriptor, two.descriptor])
    put_manifest(name, "index", index, OCI_INDEX)
    status = delete(f"{MANIFESTS}/{one.digest}")
    check("a member of an index is deleted or refused", status in (202, 400, 405), status)
    equal("the index is there", index, ask("GET", f"{MANIFESTS}/index").body)
    equal("an index is deleted", 202, delete(f"{MANIFESTS}/{digest_of(index)}"))
    equal("its members stay", two.manifest, ask("GET", f"{MANIFESTS}/{two.digest}").body)
    equal("its tag does not", 404, ask("GET", f"{MANIFESTS}/index").status)

with part("at once"):
    torn, wrong = [], []
    for _ in range(15):
        where = repository()
        layer, config = random_blob(), b"{}"
        for blob in layer, config:
            push_blob(where, blob)
        layers = [descriptor(layer, "application/x.layer")]
        manifest = document(OCI_IMAGE, config=descriptor(config, OCI_CONFIG), layers=layers)
        target = f"/v2/{where}/blobs/{digest_of(layer)}"
        put, deleted = at_once(lambda: put_manifest(where, "v1", manifest), lambda: ask("DELETE", target))
        there = ask("GET", f"/v2/{where}/manifests/v1").status == 200, get_blob(where, digest_of(layer)) is not None
        expected = {(201, 405): (True, True), (400, 202): (False, False), (404, 202): (False, False)}
        if expected.get((put.status, deleted.status)) != there:
            torn.append((put.status, deleted.status, there))
        fresh = repository()
        source = push_blob(where, random_blob())
        mount = f"/v2/{fresh}/blobs/uploads/?mount={source}&from={where}"
        mounted, deleted = at_once(lambda: ask("POST", mount), lambda: ask("DELETE", f"/v2/{where}/blobs/{source}"))
        if (mounted.status == 201) != (get_blob(fresh, source) is not None) or deleted.status != 202:
            wrong.append((mounted.status, deleted.status))
    equal("a blob is deleted while a manifest that names it is pushed: one is refused", [], torn)
    equal("a blob is deleted while it is mounted: what is said is so", [], wrong)
    where = repository()
    made = push_image(where, "v1")
    lost = []
    for _ in range(15):
        put_manifest(where, "v1", made.manifest)
        target = f"/v2/{where}/manifests/{made.digest}"
        at_once(lambda: put_manifest(where, "v2", made.manifest), lambda: ask("DELETE", target))
        names = ask("GET", f"/v2/{where}/tags/list")
        listed = names.json["tags"] if names.status == 200 else []
        lost += [tag for tag in listed if ask("GET", f"/v2/{where}/manifests/{tag}").body != made.manifest]
    equal("a manifest is deleted while it is tagged: every tag that is listed is had", [], lost)

with part("what is not there"):
    nowhere = repository()
    for what, target, codes in [
        ("a tag", f"{MANIFESTS}/missing", GONE), ("a manifest", f"{MANIFESTS}/{NOTHING}", GONE),
        ("a blob", f"{BLOBS}/{NOTHING}", ["BLOB_UNKNOWN"]), ("a tag of nowhere", f"/v2/{nowhere}/manifests/v1", GONE),
        ("a manifest of nowhere", f"/v2/{nowhere}/manifests/{other.digest}", GONE),
        ("a blob of nowhere", f"/v2/{nowhere}/blobs/{digest}", ["BLOB_UNKNOWN", "NAME_UNKNOWN"]),
        ("an upload", f"{BLOBS}/uploads/00000000-0000-4000-8000-000000000000", ["BLOB_UPLOAD_UNKNOWN"]),
        ("a manifest that is a blob", f"{MANIFESTS}/{digest}", GONE),
    ]:  # fmt: skip
        refused(f"{what} that is not there", 404, codes, ask("DELETE", target))
    answer = ask("DELETE", f"{BLOBS}/{other.digest}")
    check("a manifest is not deleted as a blob", answer.status in (404, 405), answer)
    equal(
        "nothing was deleted by that",
        (other.manifest, data),
        (ask("GET", f"{MANIFESTS}/other").body, get_blob(name, digest)),
    )
    fresh = repository()
    made = push_image(fresh, "v1")
    check(
        "a new repository is listed",
        fresh in ask("GET", f"/v2/_catalog?n=1&last={fresh[:-1]}").json["repositories"],
        fresh,
    )
    delete(f"/v2/{fresh}/manifests/{made.digest}")
    equal("a repository that was emptied has nothing", 404, ask("GET", f"/v2/{fresh}/manifests/v1").status)
    answer = ask("GET", f"/v2/{fresh}/tags/list")
    check("it has no tags", answer.status == 404 or (answer.status == 200 and answer.json["tags"] == []), answer)

with part("methods that do not exist"):
    location = begin(name)
    for methods, target in [
        (["POST", "PUT", "DELETE", "PATCH"], "/v2/"), (["POST", "PATCH"], f"{MANIFESTS}/other"),
        (["POST", "PUT", "PATCH"], f"{BLOBS}/{digest}"), (["GET", "PUT", "DELETE", "PATCH"], f"{BLOBS}/uploads/"),
        (["POST"], location), (["POST", "PUT", "DELETE", "PATCH"], f"/v2/{name}/tags/list"),
        (["POST", "PUT", "DELETE", "PATCH"], f"/v2/{name}/referrers/{other.digest}"),
        (["POST", "PUT", "DELETE"], "/v2/_catalog"), (["BREW", "CONNECT", "TRACE"], f"{MANIFESTS}/other"),
        (["BREW"], "/v2/"), (["PROPFIND"], f"{BLOBS}/{digest}"),
    ]:  # fmt: skip
        for method in methods:
            answer = ask(method, target, b"" if method in ("POST", "PUT", "PATCH") else None)
            # a target of CONNECT is a host, so that this one is a request that is damaged
            expected = [405] if method != "CONNECT" else [400, 404, 405]
            check(f"{method} {target[-24:]}", answer.status in expected, answer)
            check(f"{method} {target[-24:]}: what it says", set(answer.codes) <= {"UNSUPPORTED"}, answer)
    check(
        "what exists is told",
        "GET" in (ask("POST", f"{MANIFESTS}/other").headers["Allow"] or ""),
        ask("POST", f"{MANIFESTS}/other").headers,
    )
    equal("a manifest is as it was", other.manifest, ask("GET", f"{MANIFESTS}/other").body)
    equal("a blob is as it was", data, get_blob(name, digest))
    equal("an upload is as it was", 201, ask("PUT", with_digest(location, digest_of(b"x")), b"x").status)

finish()
