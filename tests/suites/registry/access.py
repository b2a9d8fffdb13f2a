"""Access: who has to log in, what a login for pushing opens, weaker API keys, and ways around all of that."""

import atexit
import contextlib
import re
import uuid
from urllib.parse import quote, urlsplit

from counts import check, equal, finish, part
from registry import CLOSED, HOST, OPEN, OWNER, Login, api, ask, begin, connect, digest_of, get_blob, open_connection
from registry import push_image, put_manifest, random_blob, refused, repository, send, with_digest

shared, foreign = repository(), repository(str(uuid.uuid4()))
image = push_image(shared, "v1")
access = api("GET", "/docker-registry/registry-push-access")
PUSH = Login(access["username"], access["secret"])
mine = repository(access["project"])
secret = push_image(foreign, "v1", login=OWNER)
LAYER = digest_of(secret.layer)
keys = []


def remove_keys():
    """Deletes the API keys that were made here."""
    for name in keys:
        with contextlib.suppress(RuntimeError):
            api("DELETE", f"/api-keys/{name}")


atexit.register(remove_keys)


def key(*permissions):
    """A new API key: its name and its value."""
    name = f"registry-{uuid.uuid4().hex[:10]}"
    keys.append(name)
    return name, api("POST", "/api-keys", {"name": name, "permissions": list(permissions)})["value"]


def unauthorized(what, answer):
    """Counts whether an answer asks for a login, as the protocol of the registry does."""
    told = answer.headers["WWW-Authenticate"] or ""
    check(what, answer.status == 401 and re.match('Basic realm="[^"]+"', told, re.IGNORECASE), answer)


def tries_to_push(name, login=None, **options):
    """The statuses of all that pushes to a repository: an upload, a blob at once, a mount and a manifest."""
    uploads = f"/v2/{name}/blobs/uploads/"
    data = random_blob()
    return [
        ask("POST", uploads, login=login, **options).status,
        ask("POST", f"{uploads}?digest={digest_of(data)}", data, login=login, **options).status,
        ask("POST", f"{uploads}?mount={digest_of(image.layer)}&from={shared}", login=login, **options).status,
        put_manifest(name, "pushed", image.manifest, login=login, **options).status,
    ]


def tries_to_pull(name, which, login=None, **options):
    """The statuses of all that pulls from a repository."""
    targets = [
        "tags/list",
        "manifests/v1",
        f"manifests/{which.digest}",
        f"blobs/{digest_of(which.layer)}",
        f"referrers/{which.digest}",
    ]
    return [ask("GET", f"/v2/{name}/{target}", login=login, **options).status for target in targets]


def tries_to_delete(name, which, login=None, **options):
    """The statuses of all that deletes from a repository."""
    targets = ["manifests/v1", f"manifests/{which.digest}", f"blobs/{digest_of(which.layer)}"]
    return [ask("DELETE", f"/v2/{name}/{target}", login=login, **options).status for target in targets]


with part("by the address"):
    answer = ask("GET", "/v2/", url=CLOSED)
    unauthorized("the base asks for a login", answer)
    equal("in the form of errors", ["UNAUTHORIZED"], answer.codes)
    equal("with the version of the API", "registry/2.0", answer.headers["Docker-Distribution-Api-Version"])
    for what, target in {
        "the base": "/v2/", "a manifest": f"/v2/{shared}/manifests/v1",
        "a blob": f"/v2/{shared}/blobs/{digest_of(image.layer)}",
        "what is not there": "/v2/x/manifests/v1",
    }.items():  # fmt: skip
        answer = ask("HEAD", target, url=CLOSED)
        unauthorized(f"the head of {what} asks for a login, too", answer)
        equal(f"the head of {what} has no body", b"", answer.body)
    equal("nothing is pulled", [401] * 5, tries_to_pull(shared, image, url=CLOSED))
    equal("nothing is pushed", [401] * 4, tries_to_push(shared, url=CLOSED))
    equal("nothing is deleted", [401] * 3, tries_to_delete(shared, image, url=CLOSED))
    unauthorized("repositories are not listed", ask("GET", "/v2/_catalog", url=CLOSED))
    unauthorized("what is not there is not told of", ask("GET", f"/v2/{repository()}/tags/list", url=CLOSED))
    status = ask("GET", "/v2/UPPER/tags/list", url=CLOSED).status
    check("nor what is no name", status in (401, 400, 404), status)
    equal("the owner logs in", 200, ask("GET", "/v2/", login=OWNER).status)
    for user in "any", "x@y.example", "", "ä":
        equal(f"the owner's key with the name {user!r}", 200, ask("GET", "/v2/", login=Login(user, OWNER.secret)).status)
    equal(
        "the name of the scheme in small letters",
        200,
        ask("GET", "/v2/", url=CLOSED, Authorization=OWNER.header.replace("Basic", "basic")).status,
    )
    wrong = [
        Login("owner", "wrong").header, Login("owner", "").header, Login(OWNER.secret, "").header,
        Login("owner", OWNER.secret[:-1]).header, Login("owner", OWNER.secret + "x").header,
        Login("owner", OWNER.secret.upper()).header, "Basic", "Basic !!!", "Basic b3duZXI=", "Basic " + "A" * 4000,
        "Digest username=owner", "", "Basic \xff", f"Basic {OWNER.secret}", "Bearer wrong",
        Login("a\0b", "c\0d").header,
    ]  # fmt: skip
    for at, bad in enumerate(wrong):  # which holds the key, so that it is not told
        answer = ask("GET", "/v2/", url=CLOSED, Authorization=bad)
        check(f"wrong login {at}", answer.status == 401 or (answer.status == 400 and "\xff" in bad), answer)
    connection = open_connection(CLOSED)
    statuses = [ask("GET", "/v2/", login=login, connection=connection).status for login in (OWNER, None, OWNER, Login("a", "b"), OWNER)]
    equal("every request of a connection logs in by itself", [200, 401, 200, 401, 200], statuses)
    data = random_blob(3_000_000)
    answer = ask("PUT", f"/v2/{shared}/blobs/uploads/{uuid.uuid4()}?digest={digest_of(data)}", data, url=CLOSED)
    equal("who sends much without a login is told", 401, answer.status)
    place = urlsplit(CLOSED).netloc
    with connect(CLOSED) as waiting:
        length = f"Content-Length: {len(data)}\r\nExpect: 100-continue\r\n\r\n"
        waiting.sendall(f"POST /v2/{shared}/blobs/uploads/?digest={digest_of(data)} HTTP/1.1\r\nHost: {place}\r\n{length}".encode())
        equal("who asks whether to send is told no", b"HTTP/1.1 401", waiting.recv(1000)[:12])
    equal(
        "the owner pulls from everywhere",
        [200] * 10,
        tries_to_pull(shared, image, OWNER) + tries_to_pull(foreign, secret, OWNER),
    )
    equal("the owner pushes everywhere", [202, 201, 201], tries_to_push(repository(str(uuid.uuid4())), OWNER)[:3])
    check(
        "the owner sees everything",
        foreign in ask("GET", f"/v2/_catalog?n=1&last={foreign[:-1]}", login=OWNER).json["repositories"],
        foreign,
    )

with part("from this machine"):
    equal("an organization's images are not pulled", [401] * 5, tries_to_pull(foreign, secret))
    equal("nor pushed", [401] * 4, tries_to_push(foreign))
    equal("nor deleted", [401] * 3, tries_to_delete(foreign, secret))
    unauthorized("what an organization has not, is not told of", ask("GET", f"/v2/{repository(str(uuid.uuid4()))}/tags/list"))
    everything = ask("GET", "/v2/_catalog?n=100000").json["repositories"]
    check(
        "what is listed is shared",
        shared in everything and not [one for one in everything if re.match("[0-9a-f-]{36}/", one)],
        everything,
    )
    fresh = repository()
    answer = ask("POST", f"/v2/{fresh}/blobs/uploads/?mount={LAYER}&from={foreign}")
    check(
        "nothing of an organization is mounted",
        answer.status in (202, 401, 403) and get_blob(fresh, LAYER) is None,
        answer,
    )
    answer = ask("POST", f"/v2/{fresh}/blobs/uploads/?mount={LAYER}")
    check("not by its digest either", answer.status == 202 and get_blob(fresh, LAYER) is None, answer)
    answer = put_manifest(fresh, "stolen", secret.manifest)
    check("nor named by a manifest", answer.status in (400, 404) and get_blob(fresh, LAYER) is None, answer)
    equal("the owner logs in here, too", [200] * 5, tries_to_pull(foreign, secret, url=OPEN, Authorization=OWNER.header))
    upload = begin(foreign, login=OWNER)
    for method in "GET", "PATCH", "DELETE":
        unauthorized(f"{method} of an organization's upload", ask(method, upload, b"x" if method == "PATCH" else None))
        answer = ask(method, upload.replace(foreign, shared), b"x" if method == "PATCH" else None)
        equal(f"{method} of it by another repository", 404, answer.status)
    equal("it is as it was", "0-0", ask("GET", upload, login=OWNER).headers["Range"])

with part("ways around it"):
    here = "/v2/", f"/v2/{shared}/manifests/v1"
    port = urlsplit(OPEN).port
    for what, headers in {
        "an origin": {"Origin": "http://evil.example"}, "no origin": {"Origin": "null"},
        "an origin of this machine": {"Origin": "http://localhost:3000"}, "a proxy": {"X_Forwarded_For": "203.0.113.5"},
        "a proxy here": {"X_Forwarded_For": "127.0.0.1"}, "a proxy by the standard": {"Forwarded": "for=203.0.113.5"},
        "a foreign host": {"Host": "evil.example"}, "a foreign host with this port": {"Host": f"evil.example:{port}"},
        "the address": {"Host": f"127.0.0.1:{port}"}, "a host below localhost": {"Host": f"evil.localhost:{port}"},
        "a host that begins so": {"Host": f"localhost.evil.example:{port}"},
        "a host with a user": {"Host": f"localhost@evil.example:{port}"},
        "a host that ends so": {"Host": f"evil-localhost:{port}"}, "no host": {"Host": None},
        "an empty host": {"Host": ""},
    }.items():  # fmt: skip
        for target in here:
            answer = ask("GET", target, **headers)
            allowed = (401, 400, 421) if "Host" in headers else (401,)
            check(f"{what} has to log in: {target[-12:]}", answer.status in allowed, answer)
        answer = ask("POST", f"/v2/{shared}/blobs/uploads/", **headers)
        check(f"{what} does not push", answer.status in (401, 400, 421), answer)
    with_login = ask("GET", here[1], Authorization=OWNER.header, X_Forwarded_For="203.0.113.5", Origin="http://evil.example")
    equal("with a login it may", 200, with_login.status)
    line = f"GET {here[1]} HTTP/1.1\r\n"
    for what, data in {
        "two hosts": f"{line}Host: {HOST}\r\nHost: evil.example\r\n\r\n",
        "two hosts, the other first": f"{line}Host: evil.example\r\nHost: {HOST}\r\n\r\n",
        "a target with a foreign host": f"GET http://evil.example{here[1]} HTTP/1.1\r\nHost: {HOST}\r\n\r\n",
        "two proxies": f"{line}Host: {HOST}\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-For: 203.0.113.5\r\n\r\n",
        "an empty proxy": f"{line}Host: {HOST}\r\nX-Forwarded-For:\r\n\r\n",
        "without a host in an old version": f"GET {here[1]} HTTP/1.0\r\n\r\n",
    }.items():  # fmt: skip
        answer = send(data.encode())
        check(f"{what}: has to log in", answer is None or answer.status in (401, 400, 421), answer)
    first, rest = foreign[0], foreign[1:]
    tail = "manifests/v1"
    for path in [
        f"/v2/%{ord(first):02x}{rest}/{tail}", f"/v2/{foreign.replace('-', '%2d')}/{tail}",
        f"/v2/{foreign.replace('/', '%2F')}/{tail}", f"/v2/{foreign.upper()}/{tail}",
        f"/v2/{shared}/../../../{foreign}/{tail}", f"/v2/{shared}/..%2f..%2f..%2f{foreign}/{tail}",
        f"/v2/%2e%2e/v2/{foreign}/{tail}", f"/v2//{foreign}/{tail}", f"//v2/{foreign}/{tail}",
        f"/v2/./{foreign}/{tail}", f"/v2/{foreign}//{tail}", f"/v2/%20{foreign}/{tail}", f"/v2/{foreign}%00/{tail}",
        f"/v2/x/blobs/uploads/../../../{foreign}/{tail}", f"/V2/{foreign}/{tail}",
    ]:  # fmt: skip
        answer = ask("GET", path)
        check(f"{path.replace(foreign, 'FOREIGN')[:50]} opens nothing", answer.status in (400, 401, 403, 404), answer)
    bare = foreign.replace("-", "")
    answer = ask("GET", f"/v2/{bare}/{tail}")
    check("nor does a name without dashes", answer.status in (401, 404), answer)

with part("the login for pushing"):
    answer = ask("GET", "/v2/", login=PUSH)
    equal("it logs in", 200, answer.status)
    pushed = push_image(mine, "v1", login=PUSH)
    equal("it pushes to its project", [202, 201, 201], tries_to_push(mine, PUSH)[:3])
    equal("and pulls from there", [200] * 5, tries_to_pull(mine, pushed, PUSH))
    equal("and from what is shared", [200] * 5, tries_to_pull(shared, image, PUSH))
    equal("it does not push to what is shared", [403] * 4, tries_to_push(shared, PUSH))
    refused("it is told so", 403, "DENIED", ask("POST", f"/v2/{shared}/blobs/uploads/", login=PUSH))
    equal("it does not delete what is shared", [403] * 3, tries_to_delete(shared, image, PUSH))
    equal("which is there", image.manifest, ask("GET", f"/v2/{shared}/manifests/v1").body)
    pulls = tries_to_pull(foreign, secret, PUSH)
    check("it does not pull from another organization", set(pulls) <= {403, 404}, pulls)
    absent = tries_to_pull(repository(foreign.split("/")[0]), secret, PUSH)
    equal("whether it is there or not", pulls, absent)
    equal("it does not push to another organization", [403] * 4, tries_to_push(foreign, PUSH))
    deletes = tries_to_delete(foreign, secret, PUSH)
    check("it does not delete from another organization", set(deletes) <= {403, 404}, deletes)
    equal("where everything is as it was", [200] * 5, tries_to_pull(foreign, secret, OWNER))
    for near in (
        f"{access['project']}x/app",
        f"{access['project'][:-1]}/app",
        f"x/{access['project']}/app",
        f"{access['project'].replace('-', '')}/app",
    ):
        equal(
            f"it does not push to {near.replace(access['project'], 'PROJECT')[:20]}",
            [403] * 4,
            tries_to_push(near, PUSH),
        )
    fresh = repository(access["project"])
    answer = ask("POST", f"/v2/{fresh}/blobs/uploads/?mount={LAYER}&from={foreign}", login=PUSH)
    equal("nothing of another organization is mounted", (202, None), (answer.status, get_blob(fresh, LAYER, login=PUSH)))
    answer = ask("POST", f"/v2/{fresh}/blobs/uploads/?mount={LAYER}", login=PUSH)
    equal("not by its digest either", (202, None), (answer.status, get_blob(fresh, LAYER, login=PUSH)))
    answer = put_manifest(fresh, "stolen", secret.manifest, login=PUSH)
    check("nor named by a manifest", answer.status in (400, 404) and get_blob(fresh, LAYER, login=PUSH) is None, answer)
    strange = begin(foreign, login=OWNER)
    answers = [ask(method, strange.replace(foreign, mine), b"x" if method == "PATCH" else None, login=PUSH) for method in ("GET", "PATCH", "DELETE")]
    equal("an upload of another organization is not its own", [404] * 3, [answer.status for answer in answers])
    answer = ask("PUT", with_digest(strange.replace(foreign, mine), digest_of(b"")), login=PUSH)
    equal("nor is it ended", 404, answer.status)
    answer = ask("PATCH", strange, b"x", login=PUSH)
    check("nor by its own name", answer.status in (403, 404), answer)
    unseen = begin(mine, login=PUSH)
    moved = ask("PUT", with_digest(unseen.replace(mine, shared), digest_of(b"")), login=PUSH)
    check("an upload of its own does not end in what is shared", moved.status in (403, 404), moved)
    seen = ask("GET", "/v2/_catalog?n=100000", login=PUSH).json["repositories"]
    check("its project and what is shared are listed", {mine, shared} <= set(seen), seen)
    theirs = [one for one in seen if re.match("[0-9a-f-]{36}/", one) and not one.startswith(f"{access['project']}/")]
    equal("and nothing of others", [], theirs)
    listed = ask("GET", f"/v2/_catalog?n=1&last={foreign[:-1]}", login=PUSH).json["repositories"]
    check("nor page by page", foreign not in listed, listed)
    paged = [ask("GET", f"/v2/_catalog?n={n}&last={foreign[:-1]}", login=PUSH) for n in (0, 1, 2)]
    links = [answer.headers["Link"] or "" for answer in paged]
    check("nor as the end of a page", not any(quote(foreign, safe="") in link or foreign in link for link in links), links)
    for what, login in {
        "another secret": Login(PUSH.name, PUSH.secret[:-1] + ("a" if PUSH.secret[-1] != "a" else "b")),
        "a longer secret": Login(PUSH.name, PUSH.secret + "a"), "no secret": Login(PUSH.name, ""),
        "another name": Login(PUSH.name + "x", PUSH.secret), "the owner's name": Login("owner", PUSH.secret),
        "no name": Login("", PUSH.secret),
        "a name that is one digit longer": Login(re.sub("([0-9])", r"\g<1>9", PUSH.name, count=1) + "9", PUSH.secret),
        "the secret as a name": Login(PUSH.secret, PUSH.name),
        "a name in capitals": Login(PUSH.name.upper() + ".", PUSH.secret),
    }.items():  # fmt: skip
        unauthorized(f"{what} does not log in", ask("GET", "/v2/", login=login))
    changed = [re.sub(digits, str((int(digits) + 1) % 10 ** len(digits)), PUSH.name, count=1) for digits in re.findall("[0-9]+", PUSH.name)]
    changed += [PUSH.name.replace(access["project"], foreign.split("/")[0]), PUSH.name[:-1], PUSH.name.lower()]
    opened = [name for name in changed if ask("GET", "/v2/", login=Login(name, PUSH.secret)).status != 401]
    equal("no name that was changed logs in", [], [name for name in opened if name != PUSH.name])
    again = api("GET", "/docker-registry/registry-push-access")
    equal(
        "who asks again has another login",
        [200, 200],
        [ask("GET", "/v2/", login=login).status for login in (PUSH, Login(again["username"], again["secret"]))],
    )

with part("weaker API keys"):
    for permission in "write:snapshots", "write:sandboxes":
        name, value = key(permission)
        login = Login("weak", value)
        equal(
            f"{permission} pushes to its project",
            [202, 201, 201],
            tries_to_push(repository(access["project"]), login)[:3],
        )
        equal(f"{permission} pulls", [200] * 10, tries_to_pull(mine, pushed, login) + tries_to_pull(shared, image, login))
        equal(f"{permission} does not push to what is shared", [403] * 4, tries_to_push(shared, login))
        equal(f"{permission} does not push to another organization", [403] * 4, tries_to_push(foreign, login))
        statuses = tries_to_pull(foreign, secret, login)
        check(f"{permission} does not pull from another organization", set(statuses) <= {403, 404}, statuses)
        statuses = tries_to_delete(foreign, secret, login) + tries_to_delete(shared, image, login)
        check(f"{permission} does not delete there", set(statuses) <= {403, 404}, statuses)
        theirs = [one for one in ask("GET", "/v2/_catalog?n=100000", login=login).json["repositories"] if one.startswith(foreign)]
        equal(f"{permission} does not see other organizations", [], theirs)
    name, value = key("read:volumes")
    login = Login("weaker", value)
    equal("a key without them pulls", [200] * 10, tries_to_pull(mine, pushed, login) + tries_to_pull(shared, image, login))
    equal("and does not push", [403] * 8, tries_to_push(mine, login) + tries_to_push(shared, login))
    equal("nor delete", [403] * 3, tries_to_delete(mine, pushed, login))
    equal("what is there stays", [200] * 5, tries_to_pull(mine, pushed, login))
    with contextlib.suppress(RuntimeError):
        given = api("GET", "/docker-registry/registry-push-access", key=value)
        check("it is given no login for pushing", False, given["username"])
    api("DELETE", f"/api-keys/{name}")
    unauthorized("a key that was deleted opens nothing", ask("GET", "/v2/", login=login))

with part("a login whose key is deleted"):
    name, value = key("write:snapshots")
    given = api("GET", "/docker-registry/registry-push-access", key=value)
    login = Login(given["username"], given["secret"])
    where = repository(given["project"])
    equal("its login pushes", [202, 201, 201], tries_to_push(where, login)[:3])
    begun = begin(where, login=login)
    connection = open_connection(CLOSED)
    equal("a connection is open", 200, ask("GET", "/v2/", login=login, connection=connection).status)
    api("DELETE", f"/api-keys/{name}")
    unauthorized("its login opens nothing", ask("GET", "/v2/", login=login))
    unauthorized("nor on the connection that is open", ask("GET", "/v2/", login=login, connection=connection))
    equal("nothing is pushed", [401] * 4, tries_to_push(where, login))
    equal("nor pulled", [401] * 5, tries_to_pull(shared, image, login))
    unauthorized("nor is an upload ended that it began", ask("PUT", with_digest(begun, digest_of(b"x")), b"x", login=login))
    equal("the login of the owner is as before", 200, ask("GET", "/v2/", login=PUSH).status)

finish()
