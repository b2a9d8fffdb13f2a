"""Pushing: blobs in one piece, as a stream and in chunks, cut, at once and from other repositories, and manifests."""

import re
import threading
import time

import manifests
from counts import check, equal, finish, part
from registry import HOST, MIB, NOTHING, ask, at_once, begin, connect, digest_of, get_blob, push_blob, push_image
from registry import random_blob, read_answer, refused, repository, with_digest

name, other = repository(), repository()
UPLOAD_GONE = "BLOB_UPLOAD_UNKNOWN"
DATA = random_blob(300_000)
THIRDS = [DATA[:100_000], DATA[100_000:200_000], DATA[200_000:]]


def created(what, answer, data, where=name):
    """Counts whether a blob was taken and is what was sent."""
    digest = digest_of(data)
    equal(what, (201, digest), (answer.status, answer.headers["Docker-Content-Digest"]))
    equal(f"{what}: where it is", f"/v2/{where}/blobs/{digest}", answer.location if answer.headers["Location"] else None)
    check(f"{what}: it is what was sent", get_blob(where, digest) == data)


def state(location):
    """How far an upload is, as its status says."""
    answer = ask("GET", location)
    return answer.status, answer.headers["Range"]


def patch(location, data, span=None):
    """Sends a chunk that says what it is."""
    return ask("PATCH", location, data, Content_Range=span, Content_Type="application/octet-stream")


def chunk(location, first, data):
    """Sends a chunk from one byte on."""
    return patch(location, data, f"{first}-{first + len(data) - 1}")


with part("in one piece"):
    answer = ask("POST", f"/v2/{name}/blobs/uploads/")
    equal("an upload begins", (202, "0-0", b""), (answer.status, answer.headers["Range"], answer.body))
    check("it has an identity", re.search("[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", answer.location), answer.location)
    check(
        "which stands in a header, too",
        (answer.headers["Docker-Upload-UUID"] or "?") in answer.location,
        answer.headers,
    )
    check("it begins below its repository", answer.location.startswith(f"/v2/{name}/blobs/uploads/"), answer.location)
    check("what was begun is not visible", get_blob(name, digest_of(DATA)) is None)
    done = ask("PUT", with_digest(answer.location, digest_of(DATA)), DATA, Content_Type="application/octet-stream")
    created("a blob in two requests", done, DATA)
    refused("its upload is over", 404, UPLOAD_GONE, ask("GET", answer.location))
    again = ask("PUT", with_digest(begin(name), digest_of(DATA)), DATA)
    created("the same blob again", again, DATA)
    check("uploads are not the same", begin(name) != begin(name))
    data = random_blob()
    created("a blob in one request", ask("POST", f"/v2/{name}/blobs/uploads/?digest={digest_of(data)}", data), data)
    data = random_blob()
    created(
        "with a digest that is escaped",
        ask("PUT", with_digest(begin(name), digest_of(data)).replace("sha256:", "sha256%3A"), data),
        data,
    )
    data = random_blob()
    created(
        "with another media type",
        ask("PUT", with_digest(begin(name), digest_of(data)), data, Content_Type="text/plain"),
        data,
    )
    data = random_blob(5 * MIB)
    created("five megabytes", ask("PUT", with_digest(begin(name), digest_of(data)), data), data)
    data = random_blob()
    created(
        "in one request, as chunks of HTTP",
        ask("PUT", with_digest(begin(name), digest_of(data)), [data[:1], data[1:]]),
        data,
    )
    data = random_blob()
    target = with_digest(begin(name), digest_of(data))
    with connect() as waiting:
        length = f"Content-Length: {len(data)}\r\nExpect: 100-continue\r\n\r\n"
        waiting.sendall(f"PUT {target} HTTP/1.1\r\nHost: {HOST}\r\n{length}".encode())
        equal("it is said to go on", b"HTTP/1.1 100", waiting.recv(1000)[:12])
        waiting.sendall(data)
        created("after which it is sent", read_answer(waiting), data)
    ask("DELETE", f"/v2/{name}/blobs/{digest_of(data)}")

with part("an empty blob"):
    created("nothing at all", ask("PUT", with_digest(begin(name), digest_of(b"")), b""), b"")
    answer = ask("HEAD", f"/v2/{name}/blobs/{digest_of(b'')}")
    equal("its head", (200, "0"), (answer.status, answer.headers["Content-Length"]))
    answer = ask("GET", f"/v2/{name}/blobs/{digest_of(b'')}", Range="bytes=0-0")
    check("none of it is a range", answer.status == 416 or (answer.status, answer.body) == (200, b""), answer)
    created("nothing in one request", ask("POST", f"/v2/{other}/blobs/uploads/?digest={digest_of(b'')}", b""), b"", other)

with part("digests that are wrong"):
    data, wrong = random_blob(), digest_of(random_blob())
    location = begin(name)
    refused("what is not what it says", 400, "DIGEST_INVALID", ask("PUT", with_digest(location, wrong), data))
    location = begin(name)
    chunk(location, 0, data)
    refused("as chunks", 400, "DIGEST_INVALID", ask("PUT", with_digest(location, wrong)))
    refused("in one request", 400, "DIGEST_INVALID", ask("POST", f"/v2/{name}/blobs/uploads/?digest={wrong}", data))
    equal("nothing of it is visible", [None, None], [get_blob(name, digest) for digest in (wrong, digest_of(data))])
    for bad in (
        "sha256:abc",
        "",
        "sha256:" + "A" * 64,
        "md5:" + "0" * 32,
        "0" * 64,
        "sha256:../../x",
        f"{digest_of(data)}0",
        "sha256:%00",
    ):
        target = with_digest(begin(name), "").removesuffix("digest=") + f"digest={bad}"
        refused(f"no digest: {bad[:20]}", 400, ["DIGEST_INVALID", "UNSUPPORTED"], ask("PUT", target, data))
        answer = ask("POST", f"/v2/{name}/blobs/uploads/?digest={bad}", data)
        check(f"no digest in one request: {bad[:20]}", answer.status == 400 or (not bad and answer.status == 202), answer)
    location = begin(name)
    refused("none at all", 400, "DIGEST_INVALID", ask("PUT", location, data))
    good = digest_of(data).upper().replace("SHA256", "sha256")
    answer = ask("PUT", with_digest(begin(name), good), data)
    check("digits in capitals are none", answer.status == 400, answer)

with part("as a stream"):
    location = begin(name)
    answer = ask("PATCH", location, iter(THIRDS))
    equal("a stream is taken", (202, f"0-{len(DATA) - 1}"), (answer.status, answer.headers["Range"]))
    check("it says where to go on", answer.headers["Location"] and answer.headers["Docker-Upload-UUID"], answer)
    equal("its body is empty", (b"", "0"), (answer.body, answer.headers["Content-Length"]))
    created("an empty end", ask("PUT", with_digest(answer.location, digest_of(DATA))), DATA)
    data = random_blob(2 * MIB)
    location = ask("PATCH", begin(name), (data[at : at + 1] for at in range(3000))).location
    location = ask("PATCH", location, [data[3000:]]).location
    created("a stream that goes on", ask("PUT", with_digest(location, digest_of(data))), data)
    location = ask("PATCH", begin(name), []).location
    equal("a stream of nothing", (204, "0-0"), state(location))
    created("whose end has all", ask("PUT", with_digest(location, digest_of(DATA[:10])), DATA[:10]), DATA[:10])

with part("in chunks"):
    location = begin(name)
    equal("before the first", (204, "0-0"), state(location))
    for at, piece in enumerate(THIRDS):
        answer = chunk(location, at * 100_000, piece)
        equal(f"chunk {at}", (202, f"0-{at * 100_000 + 99_999}"), (answer.status, answer.headers["Range"]))
        location = answer.location
        equal(f"its status after chunk {at}", (204, f"0-{at * 100_000 + 99_999}"), state(location))
        check("the status says where to go on", ask("GET", location).headers["Location"], location)
    created("chunks", ask("PUT", with_digest(location, digest_of(DATA))), DATA)
    data = random_blob(30)
    location = chunk(begin(name), 0, data[:10]).location
    location = chunk(location, 10, data[10:11]).location
    created(
        "the last with the end",
        ask("PUT", with_digest(location, digest_of(data)), data[11:], Content_Range="11-29"),
        data,
    )
    data = random_blob(30)
    location = chunk(begin(name), 0, data[:10]).location
    created("the last without its range", ask("PUT", with_digest(location, digest_of(data)), data[10:]), data)

with part("out of order"):
    data = random_blob(30)
    location = begin(name)
    answer = chunk(location, 10, data[10:20])
    equal("not from the beginning", 416, answer.status)
    equal("nothing was taken", (204, "0-0"), state(location))
    location = chunk(location, 0, data[:10]).location
    for what, first, piece in [
        ("the first again", 0, data[:10]), ("with a gap", 11, data[11:20]), ("with an overlap", 9, data[9:20]),
        ("far away", 2**62, data[:5]),
    ]:  # fmt: skip
        answer = chunk(location, first, piece)
        equal(f"{what}: refused", (416, "0-9"), (answer.status, answer.headers["Range"]))
        equal(f"{what}: as before", (204, "0-9"), state(location))
    for span in (
        "10-5",
        "10-19-20",
        "a-b",
        "-5",
        "10-",
        "10-99",
        "10-10",
        "10-99999999999999999999999999",
        "10 - 19",
        "+10-+19",
        "",
    ):
        other_upload = chunk(begin(name), 0, data[:10]).location
        answer = patch(other_upload, data[10:20], span)
        check(f"the range {span!r}: refused", answer.status in (400, 416), answer)
        equal(f"the range {span!r}: as before", (204, "0-9"), state(other_upload))
    answer = ask("PUT", with_digest(location, digest_of(data)), data[15:], Content_Range="15-29")
    equal("an end out of order", 416, answer.status)
    equal("an end out of order: as before", (204, "0-9"), state(location))
    location = chunk(location, 10, data[10:20]).location
    created("and it goes on", ask("PUT", with_digest(location, digest_of(data)), data[20:], Content_Range="20-29"), data)

with part("cancelled, strange and unknown"):
    location = begin(name)
    chunk(location, 0, DATA[:100])
    answer = ask("DELETE", location)
    equal("an upload is cancelled", (204, b""), (answer.status, answer.body))
    sample = f"/v2/{name}/blobs/uploads/00000000-0000-4000-8000-000000000000"
    for what, place in {"cancelled": location, "unknown": sample}.items():
        for method in "GET", "PATCH", "DELETE":
            refused(f"{method} of what is {what}", 404, UPLOAD_GONE, ask(method, place, b"x" if method == "PATCH" else None))
        refused(f"PUT of what is {what}", 404, UPLOAD_GONE, ask("PUT", with_digest(place, digest_of(b"x")), b"x"))
    for bad in "x", "..", "%2e%2e%2f%2e%2e", "%00", "a" * 5000, "00000000-0000-4000-8000-00000000000", NOTHING:
        answer = ask("PATCH", f"/v2/{name}/blobs/uploads/{bad}", b"x")
        check(f"no identity: {bad[:20]}", answer.status in (400, 404), answer)
    data = random_blob(20)
    location = chunk(begin(name), 0, data[:10]).location
    push_blob(other, b"something else")
    strange = location.replace(name, other)
    for method in "GET", "PATCH", "DELETE":
        answer = ask(method, strange, data[10:] if method == "PATCH" else None)
        refused(f"{method} by another repository", 404, UPLOAD_GONE, answer)
    refused("PUT by another repository", 404, UPLOAD_GONE, ask("PUT", with_digest(strange, digest_of(data[:10]))))
    equal("it is as before", (204, "0-9"), state(location))
    created("and it goes on", ask("PUT", with_digest(location, digest_of(data)), data[10:]), data)
    check("the other repository has it not", get_blob(other, digest_of(data)) is None)

with part("cut in between"):
    length = f"Content-Length: {len(DATA)}\r\n"
    for what, lines, begun in [
        ("a chunk", length + f"Content-Range: 0-{len(DATA) - 1}\r\n", b""), ("a body", length, b""),
        ("a stream", "Transfer-Encoding: chunked\r\n", b"%x\r\n" % len(DATA)),
    ]:  # fmt: skip
        location = begin(name)
        with connect() as broken:
            broken.sendall(f"PATCH {location} HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n".encode() + begun + DATA[:150_000])
        reached, deadline = (None, None), time.monotonic() + 10
        while reached != state(location) and time.monotonic() < deadline:
            reached = state(location)
            time.sleep(0.3)
        check(
            f"{what} that was cut: it has a status",
            reached[0] == 204 and re.fullmatch("0-[0-9]+", reached[1] or ""),
            reached,
        )
        last = int(reached[1].removeprefix("0-"))
        check(f"{what} that was cut: no more than was sent", last < 150_000, reached)
        first = last + 1 if last else 0
        answer = chunk(location, first, DATA[first:])
        equal(f"{what} goes on", (202, f"0-{len(DATA) - 1}"), (answer.status, answer.headers["Range"]))
        created(f"{what} that went on", ask("PUT", with_digest(answer.location, digest_of(DATA))), DATA)
    data = random_blob(100_000)
    location = with_digest(begin(name), digest_of(data))
    with connect() as broken:
        broken.sendall(f"PUT {location} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data[:-1])
    check("an end that was cut: nothing is visible", get_blob(name, digest_of(data)) is None)
    push_blob(name, data)
    check("it is pushed again", get_blob(name, digest_of(data)) == data)
    location = begin(name)
    with connect() as slow:
        slow.sendall(f"PATCH {location} HTTP/1.1\r\nHost: {HOST}\r\n{length}\r\n".encode() + DATA[:1000])
        answer = ask("GET", location)
        check("the status of one that is being sent", answer.status < 500, answer)
        check("others push meanwhile", get_blob(name, push_blob(name, random_blob())))

with part("at once"):
    data = random_blob(500_000)
    places = [with_digest(begin(name), digest_of(data)) for _ in range(6)]
    meeting = threading.Barrier(len(places))

    def slowly(pieces, meeting):
        """Pieces of a body that wait for those of others in the middle."""
        yield pieces[0]
        meeting.wait(20)
        yield pieces[1]

    answers = at_once(*(lambda place=place: ask("PUT", place, slowly([data[:250_000], data[250_000:]], meeting)) for place in places))
    equal("the same blob six times at once", [201] * 6, [answer and answer.status for answer in answers])
    check("it is what was sent", get_blob(name, digest_of(data)) == data)
    for spoken in True, False:
        what = "with ranges" if spoken else "without ranges"
        location, rivals, meeting = begin(name), [random_blob(60_000), random_blob(60_000)], threading.Barrier(2)
        span = "0-59999" if spoken else None

        def race(rival, span=span, location=location, meeting=meeting):
            return ask("PATCH", location, slowly([rival[:30_000], rival[30_000:]], meeting), Content_Range=span)

        answers = at_once(*(lambda rival=rival: race(rival) for rival in rivals))
        statuses = [answer and answer.status for answer in answers]
        check(f"two streams of one upload, {what}: one is taken", 202 in statuses, answers)
        check(
            f"two streams of one upload, {what}: no failure",
            all(status and status < 500 for status in statuses),
            answers,
        )
        won = [rival for rival, status in zip(rivals, statuses) if status == 202]
        possible = [won[0]] if len(won) == 1 else [] if spoken else [won[0] + won[1], won[1] + won[0]]
        check(f"two streams of one upload, {what}: no more than one of a range", possible, statuses)
        if len(possible) == 1:
            created(
                f"two streams of one upload, {what}: the end",
                ask("PUT", with_digest(location, digest_of(won[0]))),
                won[0],
            )
        else:  # one after the other, in whichever order
            equal(f"two streams of one upload, {what}: both", (204, "0-119999"), state(location))
    data = random_blob(50_000)
    location = chunk(begin(name), 0, data).location
    answers = at_once(*[lambda: ask("PUT", with_digest(location, digest_of(data)))] * 4)
    statuses = [answer and answer.status for answer in answers]
    check("four ends at once", 201 in statuses and set(statuses) <= {201, 404, 409, 416, 400}, statuses)
    check("four ends at once: it is what was sent", get_blob(name, digest_of(data)) == data)
    location, meeting = begin(name), threading.Barrier(2)

    def cancel():
        meeting.wait(20)
        return ask("DELETE", location)

    halves = slowly([data[:25_000], data[25_000:]], meeting)
    streamed, cancelled = at_once(lambda: ask("PATCH", location, halves), cancel)
    check("an upload is cancelled while it is sent", cancelled and cancelled.status < 500, cancelled)
    check("who sends it has an answer", streamed is None or streamed.status < 500, streamed)
    gone = cancelled is not None and cancelled.status == 204
    equal("it is gone, or it was not cancelled", 404 if gone else 204, ask("GET", location).status)
    images = [push_image(name) for _ in range(6)]
    at_once(*(lambda image=image: manifests.put(name, "raced", image) for image in images))
    answer = ask("GET", f"/v2/{name}/manifests/raced")
    check(
        "a tag that is pushed six times at once is one of them",
        answer.body in [image.manifest for image in images],
        answer,
    )
    equal("and its digest is told", digest_of(answer.body), answer.headers["Docker-Content-Digest"])

with part("from another repository"):
    data = random_blob(10_000)
    source, target = repository(), repository()
    digest = push_blob(source, data)
    uploads = f"/v2/{target}/blobs/uploads/"
    created("a blob is mounted", ask("POST", f"{uploads}?mount={digest}&from={source}"), data, target)
    created("and once more", ask("POST", f"{uploads}?mount={digest}&from={source}"), data, target)
    created(
        "escaped",
        ask("POST", f"/v2/{other}/blobs/uploads/?mount={digest.replace(':', '%3A')}&from={source.replace('/', '%2F')}"),
        data,
        other,
    )
    equal("its source is deleted", 202, ask("DELETE", f"/v2/{source}/blobs/{digest}").status)
    check("what was mounted stays", get_blob(target, digest) == data)
    for what, query in {
        "a blob that is not there": f"mount={NOTHING}&from={target}",
        "from where it is not": f"mount={digest}&from={source}",
        "from a repository that is not there": f"mount={NOTHING}&from={repository()}",
    }.items():  # fmt: skip
        fresh = repository()
        answer = ask("POST", f"/v2/{fresh}/blobs/uploads/?{query}")
        equal(f"{what}: an upload instead", 202, answer.status)
        check(f"{what}: nothing is visible", get_blob(fresh, digest) is None)
        created(f"{what}: which is used", ask("PUT", with_digest(answer.location, digest_of(DATA)), DATA), DATA, fresh)
    answer = ask("POST", f"/v2/{repository()}/blobs/uploads/?mount={digest}")
    check("from nowhere", answer.status in (201, 202), answer)
    for query in (
        f"mount=sha256:abc&from={target}",
        f"mount=&from={target}",
        f"mount={digest}&from=../../x",
        f"mount={digest}&from=UPPER",
        "mount=%00&from=%00",
    ):
        answer = ask("POST", f"/v2/{repository()}/blobs/uploads/?{query}")
        check(f"strange: {query[-30:]}", answer.status in (202, 400, 404), answer)

with part("manifests of every kind"):
    manifests.kinds()
with part("manifests that are refused"):
    manifests.refusals()
with part("large manifests"):
    manifests.sizes()
with part("tags"):
    manifests.tags()
with part("subjects"):
    manifests.subjects()

finish()
