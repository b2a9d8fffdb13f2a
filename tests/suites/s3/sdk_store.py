"""Build contexts as the Python SDK puts them: obstore over https, with the authorities of the system alone.

It needs HARBOR_TEST_URL and HARBOR_TEST_KEY, and that the system trusts this harbor: the suite sets HARBOR_TEST_S3_TRUSTED
once it has run `harbor trust`. Without it this program only shows that the SDK refuses to send anything. It runs with any
Python that has obstore, also with those of the SDK's own pinned versions.
"""

import asyncio
import contextlib
import hashlib
import inspect
import json
import os
import threading
import urllib.request
from datetime import timedelta
from importlib.metadata import version

import obstore
from counts import check, finish
from obstore.store import S3Store

MIB = 1024 * 1024


@contextlib.contextmanager
def isolated():
    """The SDK empties the environment while it makes its client, so that no variable reaches it."""
    kept = dict(os.environ)
    os.environ.clear()
    try:
        yield
    finally:
        os.environ.update(kept)


def push_access(source):
    headers = {"Authorization": f"Bearer {os.environ['HARBOR_TEST_KEY']}", "X-Daytona-Source": source}
    request = urllib.request.Request(f"{os.environ['HARBOR_TEST_URL']}/api/object-storage/push-access", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def store(access, newer, **changed):
    """As SDK 0.190 makes it, or (`newer`) as 0.226 does."""
    named = {
        "bucket": access["bucket"], "endpoint": access["storageUrl"], "access_key_id": access["accessKey"],
        "secret_access_key": access["secret"], "session_token": access["sessionToken"],
    }  # fmt: skip
    if newer:
        named |= {"region": access["region"], "client_options": {"timeout": timedelta(minutes=2)}, "retry_config": {"retry_timeout": timedelta(minutes=4)}}
    with isolated():
        return S3Store(**{**named, **changed})


def pieces(data):
    """The SDK reads its archive from a pipe and hands it on in pieces."""
    reading, writing = os.pipe()

    def write():
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    with os.fdopen(reading, "rb") as pipe:
        while piece := pipe.read(65536):
            yield piece
    thread.join()


def upload(access, newer, size):
    """One context, from looking for it to having it."""
    how = f"{'0.226' if newer else '0.190'}, {size} bytes"
    here, data = store(access, newer), os.urandom(size)
    key = f"{access['organizationId']}/{hashlib.md5(data).hexdigest()}/context.tar"
    try:
        here.head(key)
        check(f"{how}: none is there", False)
    except FileNotFoundError:
        check(f"{how}: none is there", True)
    here.put(key, pieces(data), **({"chunk_size": 5 * MIB, "max_concurrency": 4} if newer else {}))
    told = here.head(key)
    check(f"{how}: it is there", (told["size"], told["path"]) == (size, key) and told["e_tag"] and told["last_modified"], told)
    check(f"{how}: what was put", bytes(here.get(key).bytes()) == data)
    check(f"{how}: it is listed", key in [one["path"] for page in here.list(key.rsplit("/", 1)[0]) for one in page])

    async def asynchronous():
        await here.put_async(f"{key}-2", pieces(data), **({"chunk_size": 5 * MIB, "max_concurrency": 4} if newer else {}))
        return bytes(await (await here.get_async(f"{key}-2")).bytes_async())

    check(f"{how}: asynchronously", asyncio.run(asynchronous()) == data)
    try:
        here.delete(key)
        check(f"{how}: it cannot be deleted", False)
    except Exception as error:
        check(f"{how}: it cannot be deleted", "AccessDenied" in str(error) or isinstance(error, PermissionError), error)
    for what, changed in (("a foreign prefix", {}), ("a wrong token", {"session_token": "nonsense"}), ("a wrong secret", {"secret_access_key": "nonsense"})):
        target = f"foreign-{key}" if not changed else key
        try:
            store(access, newer, retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=5)}, **changed).put(target, pieces(b"evil"))
            check(f"{how}: {what} is refused", False)
        except Exception as error:
            check(f"{how}: {what} is refused", isinstance(error, PermissionError) or any(word in str(error) for word in ("403", "Forbidden", "InvalidToken")), error)
    check(f"{how}: what is there stays", bytes(here.get(key).bytes()) == data)


print(f"obstore {version('obstore')}, {len(inspect.signature(obstore.put).parameters)} parameters of put")
access = push_access("sdk-python")
if os.environ.get("HARBOR_TEST_S3_TRUSTED"):
    check("the SDK is told https", access["storageUrl"].startswith("https://"), access["storageUrl"])
    for newer in (False, True):
        for size in (1000, 23 * MIB + 11):
            upload(access, newer, size)
else:
    for address in (access["storageUrl"].replace("https://", "http://"), access["storageUrl"].replace("http://", "https://")):
        try:
            store(access, True, endpoint=address, retry_config={"max_retries": 1, "retry_timeout": timedelta(seconds=3)}).head("any/key")
            check(f"nothing is sent to {address.split(':')[0]} before the system trusts it", False)
        except Exception as error:
            check(f"nothing is sent to {address.split(':')[0]} before the system trusts it", not isinstance(error, FileNotFoundError), error)
finish()
