"""Discovery: tags and repositories page by page, and what refers to a manifest."""

import json
import re
import uuid
from urllib.parse import quote, urlsplit

from counts import check, equal, finish, part
from registry import NOTHING, OCI_EMPTY, OCI_IMAGE, OCI_INDEX, OCI_LAYER, ask, descriptor, digest_of, document
from registry import push_blob, push_image, put_manifest, random_blob, refused, repository

name = repository()
LIST = f"/v2/{name}/tags/list"
image = push_image(name)


def next_page(answer):
    """Where the next page is, as RFC 5988 writes it, or nothing."""
    link = answer.headers["Link"]
    if link is None:
        return None
    found = re.fullmatch(r'<([^>]+)>;\s*rel="?next"?', link)
    if not found:
        raise RuntimeError(f"a link that is none: {link}")
    place = urlsplit(found[1])
    return f"{place.path}?{place.query}"


def pages(target, field):
    """All pages from one on, by their links."""
    gathered = []
    while target:
        answer = ask("GET", target)
        if answer.status != 200:
            raise RuntimeError(f"no page at {target}: {answer}")
        gathered.append(answer.json[field])
        target = next_page(answer)
        if len(gathered) > 500:
            raise RuntimeError("pages do not end")
    return gathered


def flat(lists):
    """One list of several."""
    return [one for single in lists for one in single]


def tags(query=""):
    """The tags that a request lists."""
    answer = ask("GET", f"{LIST}{query}")
    return answer.json["tags"] if answer.status == 200 else answer


with part("tags"):
    equal(
        "a repository whose manifests have no tags",
        (200, {"name": name, "tags": []}),
        (ask("GET", LIST).status, ask("GET", LIST).json),
    )
    wanted = sorted(["v1", "v2", "v10", "a", "z", "0", "a-b", "a.b", "a_b", "latest"])
    for tag in reversed(wanted):
        put_manifest(name, tag, image.manifest)
    answer = ask("GET", LIST)
    check("the list is JSON", (answer.headers["Content-Type"] or "").startswith("application/json"), answer.headers)
    equal("all in order", {"name": name, "tags": wanted}, answer.json)
    equal("all have no next page", None, answer.headers["Link"])
    for n in 1, 2, 3, 4, 9, 10, 11, 1000:
        answer = ask("GET", f"{LIST}?n={n}")
        equal(f"the first {n}", wanted[:n], answer.json["tags"])
        equal(f"the first {n}: there is more", n < len(wanted), answer.headers["Link"] is not None)
        split = pages(f"{LIST}?n={n}", "tags")
        equal(f"{n} after {n}", [wanted[at : at + n] for at in range(0, len(wanted), n)], [page for page in split if page])
        for last in "a", "latest", "z":
            rest = wanted[wanted.index(last) + 1 :]
            equal(f"{n} after {last}", rest[:n], tags(f"?n={n}&last={last}"))
    equal("after one, without a number", wanted[wanted.index("latest") + 1 :], tags("?last=latest"))
    equal("after the last", [], tags("?n=5&last=z"))
    equal("after one that is not there", ["v2", "z"], tags("?n=5&last=v1x"))
    equal("after the beginning", wanted, tags("?last="))
    answer = ask("GET", f"{LIST}?n=0")
    equal("none at all, and no next page", (200, [], None), (answer.status, answer.json["tags"], answer.headers["Link"]))
    answer = ask("GET", f"{LIST}?n=0&last=a")
    equal("none after one", (200, [], None), (answer.status, answer.json["tags"], answer.headers["Link"]))
    for bad in "-1", "x", "1.5", "1e3", "%00", "-0", "+3x":
        answer = ask("GET", f"{LIST}?n={bad}")
        check(f"{bad} is no number", answer.status == 400 or (bad == "-0" and answer.status == 200), answer)
        check(f"{bad} is no number: it says so", set(answer.codes) <= {"PAGINATION_NUMBER_INVALID", "UNSUPPORTED"}, answer)
    for large in "4294967296", "9223372036854775808", "9" * 40:
        answer = ask("GET", f"{LIST}?n={large}")
        check(
            f"{large[:20]} is a large number",
            answer.status == 400 or (answer.status == 200 and answer.json["tags"] == wanted),
            answer,
        )
    for last in "%00", "%FF", "..", "a" * 5000, "%C3%A4", "'", "%25":
        answer = ask("GET", f"{LIST}?n=3&last={last}")
        check(f"after {last[:10]}, which is no tag", answer.status in (200, 400), answer)
    odd = repository()
    which = push_image(odd)
    mixed = ["B", "a", "C", "b", "A", "_x", "0", "Z", "z"]
    for tag in mixed:
        put_manifest(odd, tag, which.manifest)
    found = ask("GET", f"/v2/{odd}/tags/list").json["tags"]
    plain, folded = sorted(mixed), sorted(mixed, key=lambda tag: (tag.lower(), tag))
    check("large and small letters are in an order", found in (plain, folded), found)
    equal("and the same page by page", found, flat(pages(f"/v2/{odd}/tags/list?n=2", "tags")))
    many = repository()
    which = push_image(many)
    wanted = [f"t{at:03}" for at in range(120)]
    for tag in wanted:
        put_manifest(many, tag, which.manifest)
    equal("a hundred and twenty", wanted, flat(pages(f"/v2/{many}/tags/list", "tags")))
    equal("fifty after fifty", [50, 50, 20], [len(page) for page in pages(f"/v2/{many}/tags/list?n=50", "tags") if page])
    refused("of a repository that is not there", 404, "NAME_UNKNOWN", ask("GET", f"/v2/{repository()}/tags/list"))
    refused("page by page, too", 404, "NAME_UNKNOWN", ask("GET", f"/v2/{repository()}/tags/list?n=0"))
    parent = name.rpartition("/")[0]
    refused("of a part of a name", 404, "NAME_UNKNOWN", ask("GET", f"/v2/{parent}/tags/list"))
    child = f"{name}/below"
    push_image(child, "child")
    equal("of a repository below another", {"name": child, "tags": ["child"]}, ask("GET", f"/v2/{child}/tags/list").json)
    check("which the other does not list", "child" not in tags(), tags())


def refer(subject, where=name, media_type=OCI_IMAGE, **fields):
    """Pushes a manifest that refers to another, and says how a list of those describes it."""
    empty = descriptor(b"{}", OCI_EMPTY)
    whole = {"config": empty, "layers": [empty]} if media_type == OCI_IMAGE else {"manifests": []}
    data = document(media_type, **whole | {"subject": subject} | fields)
    answer = put_manifest(where, digest_of(data), data, media_type)
    if answer.status != 201:
        raise RuntimeError(f"what refers is not taken: {answer}")
    described = descriptor(data, media_type)
    kind = fields.get("artifactType") or (json.loads(data)["config"]["mediaType"] if media_type == OCI_IMAGE else None)
    described |= {"artifactType": kind} if kind else {}
    return described | ({"annotations": fields["annotations"]} if fields.get("annotations") else {})


def by_digest(descriptors):
    """In an order that does not matter."""
    return sorted(descriptors, key=lambda one: one["digest"])


def referrers(digest, query="", where=name):
    """The list of what refers to a manifest."""
    return ask("GET", f"/v2/{where}/referrers/{digest}{query}")


def listed(digest, query="", where=name):
    """All of that list."""
    return by_digest(flat(pages(f"/v2/{where}/referrers/{digest}{query}", "manifests")))


with part("referrers"):
    push_blob(name, b"{}")
    config = push_blob(name, b'{"a": 1}') and descriptor(b'{"a": 1}', "application/x.config")
    SBOM, SIGNATURE = "application/vnd.example.sbom.v1+json", "application/vnd.example.signature"
    answer = referrers(image.digest)
    equal("nothing refers to it", (200, OCI_INDEX), (answer.status, answer.headers["Content-Type"]))
    expected = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": []}
    equal("the list of nothing", expected, answer.json)
    equal("no filter, no word of it", None, answer.headers["OCI-Filters-Applied"])
    for what, digest, where in ("a manifest", NOTHING, name), ("a repository", NOTHING, repository()):
        answer = referrers(digest, where=where)
        equal(f"{what} that is not there", (200, []), (answer.status, answer.status == 200 and answer.json["manifests"]))
    sbom = refer(image.descriptor, artifactType=SBOM, annotations={"org.example.format": "json", "ä": "ö"})
    second = refer(image.descriptor, artifactType=SBOM, annotations={"org.example.format": "xml"})
    signature = refer(image.descriptor, artifactType=SIGNATURE)
    by_config = refer(image.descriptor, config=config, layers=[])
    index = refer(image.descriptor, media_type=OCI_INDEX, artifactType=SIGNATURE, annotations={"kind": "index"})
    bare = refer(image.descriptor, media_type=OCI_INDEX, annotations={"kind": "bare"})
    everything = by_digest([sbom, second, signature, by_config, index, bare])
    equal("all that refer to it", everything, listed(image.digest))
    equal("the media type of a config stands for what it is", "application/x.config", by_config["artifactType"])
    for what, kind, expected in [
        ("a kind", SBOM, [sbom, second]), ("another, with an index", SIGNATURE, [signature, index]),
        ("that of a config", "application/x.config", [by_config]),
        ("a kind of nothing", "application/x.none", []),
    ]:  # fmt: skip
        for written in quote(kind, safe=""), quote(kind, safe="/."):
            answer = referrers(image.digest, f"?artifactType={written}")
            equal(f"{what}: its filter", (200, "artifactType"), (answer.status, answer.headers["OCI-Filters-Applied"]))
            equal(f"{what}: what refers", by_digest(expected), by_digest(answer.json["manifests"]))
    equal("the letters of a kind count", [], listed(image.digest, f"?artifactType={quote(SBOM.upper(), safe='')}"))
    answer = referrers(image.digest, "?artifactType=")
    check("the filter of nothing", answer.status in (200, 400), answer)
    answer = referrers(image.digest, "?unknown=1")
    equal("a filter that nobody knows", (200, None), (answer.status, answer.headers["OCI-Filters-Applied"]))
    for bad in "sha256:abc", "latest", "sha256:" + "A" * 64, "sha256:" + "g" * 64:
        equal(f"{bad[:20]} is no digest", 400, referrers(bad).status)
    later = json.dumps({"late": uuid.uuid4().hex}).encode()
    manifest = document(OCI_IMAGE, config=descriptor(b"{}", OCI_EMPTY), layers=[descriptor(later, OCI_LAYER)])
    early = refer(descriptor(manifest, OCI_IMAGE), artifactType=SBOM)
    equal("to what is pushed later", [early], listed(digest_of(manifest)))
    push_blob(name, later)
    put_manifest(name, "later", manifest)
    equal("and then is there", [early], listed(digest_of(manifest)))
    ask("DELETE", f"/v2/{name}/manifests/{digest_of(manifest)}")
    equal("and then is not", [early], listed(digest_of(manifest)))
    equal("to what refers itself", [], listed(sbom["digest"]))
    twice = refer({"mediaType": OCI_IMAGE, "digest": sbom["digest"], "size": sbom["size"]}, artifactType=SIGNATURE)
    equal("to what refers, in turn", [twice], listed(sbom["digest"]))
    elsewhere = repository()
    push_blob(elsewhere, b"{}")
    equal("another repository has its own", [], listed(image.digest, where=elsewhere))
    there = refer(image.descriptor, elsewhere, artifactType=SBOM, annotations={"at": "elsewhere"})
    equal("one of its own", [there], listed(image.digest, where=elsewhere))
    equal("which is not here", everything, listed(image.digest))
    refer(image.descriptor, artifactType=SBOM, annotations={"org.example.format": "json", "ä": "ö"})
    put_manifest(name, "tagged", ask("GET", f"/v2/{name}/manifests/{sbom['digest']}").body)
    equal("what is pushed again is there once", everything, listed(image.digest))
    ask("DELETE", f"/v2/{name}/manifests/{second['digest']}")
    equal("what is deleted is not", [one for one in everything if one != second], listed(image.digest))
    ask("DELETE", f"/v2/{name}/manifests/tagged")
    equal("whose tag is deleted stays", True, sbom in listed(image.digest))
    other = push_image(name)
    empty = refer(other.descriptor, artifactType="", config=config, layers=[], annotations={"empty": ""})
    equal("a kind that is empty is that of the config", [empty], listed(other.digest))
    equal("and is found so", [empty], listed(other.digest, "?artifactType=application/x.config"))
    marked = push_image(name)
    crowd = by_digest(refer(marked.descriptor, artifactType=SBOM, annotations={"at": str(at), "fill": "x" * 2000}) for at in range(60))
    equal("sixty that refer", crowd, listed(marked.digest))

with part("repositories"):
    mine = sorted(repository(f"harbor-test-catalog/{uuid.uuid4().hex[:8]}") for _ in range(5))
    for one in mine:
        push_image(one, "v1")
    answer = ask("GET", "/v2/_catalog")
    check(
        "the list is JSON",
        answer.status == 200 and (answer.headers["Content-Type"] or "").startswith("application/json"),
        answer,
    )
    whole = flat(pages("/v2/_catalog", "repositories"))
    equal("repositories are in order, each once", sorted(set(whole)), whole)
    check("what was pushed is among them", set(mine) <= set(whole), whole)
    check(
        "without a login only shared ones are",
        not [one for one in whole if re.match("[0-9a-f]{8}-[0-9a-f]{4}-", one)],
        whole,
    )
    for n in 1, 2, 3, 7:
        split = pages(f"/v2/_catalog?n={n}", "repositories")
        equal(f"{n} after {n}", whole, flat(split))
        check(f"{n} after {n}: no page has more", max(len(page) for page in split) <= n, split)
    answer = ask("GET", f"/v2/_catalog?n=2&last={quote(mine[0], safe='')}")
    at = whole.index(mine[0]) + 1
    equal("two after one", whole[at : at + 2], answer.json["repositories"])
    equal("after the last", [], ask("GET", "/v2/_catalog?n=5&last=zzzzzzzz").json["repositories"])
    answer = ask("GET", "/v2/_catalog?n=0")
    check(
        "none at all",
        answer.status == 400 or (answer.json["repositories"], answer.headers["Link"]) == ([], None),
        answer,
    )
    for bad in "-1", "x", "%00":
        equal(f"{bad} is no number of repositories", 400, ask("GET", f"/v2/_catalog?n={bad}").status)
    empty = repository()
    data = random_blob()
    ask("DELETE", f"/v2/{empty}/blobs/{push_blob(empty, data)}")
    check("a repository that has nothing is had or not, in order", whole == sorted(whole))

finish()
