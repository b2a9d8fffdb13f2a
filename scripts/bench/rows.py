"""Lists of 10,000 sandboxes, and what so many rows cost everything else: start, idleness, life of an ordinary sandbox.

The rows are copies of one archived sandbox, which has no container, written into the database while harbor is down.
Floor of a list: 100 rows read by their primary key and written as JSON. Floor of the rest: a harbor without the rows.
"""
import json
import random
import sqlite3
import threading
import time
import urllib.parse
import uuid

import processes
from copies import LIMIT, POLL, archive, reaches
from rebind import Bound, database_key
from report import Figure, Samples
from wire import Connection

ROWS, PAGE, DEEP = 10_000, 100, 90
TARGET = 20  # milliseconds of a page
NO_SLOWER = 1.1  # of the floor's time
READERS = 3
SECRETS = ("encrypted_env", "encrypted_preview_token", "encrypted_toolbox_token")
LABEL = urllib.parse.quote(json.dumps({"group": "7"}))  # one in twenty


def measure(setting):
    crowded, empty = setting.another_harbor("rows", 2), setting.another_harbor("no-rows", 2)
    try:
        empty.up()
        crowded.up()
        seed(crowded)
        return [*lists(setting, crowded), beside(setting, crowded), *starts(setting, crowded, empty), *idle(setting, crowded, empty),
                *life(setting, crowded, empty)]
    finally:
        crowded.remove()
        empty.remove()


def seed(harbor):
    """One sandbox, made by harbor and archived, becomes all of them."""
    sandbox = harbor.create()["id"]
    harbor.api("POST", f"/sandbox/{sandbox}/stop")
    reaches(harbor, sandbox, "stopped")
    archive(harbor, sandbox)
    key = database_key(*(harbor.command("config", "get", f"daytona.encryption_{part}").strip() for part in ("key", "salt")))
    harbor.down()
    database = sqlite3.connect(harbor.data / "harbor.db")
    database.row_factory = sqlite3.Row
    first = dict(database.execute("SELECT * FROM sandbox WHERE id = ?", [sandbox]).fetchone())
    secrets = [Bound(key, f"sandbox.{column}", sandbox, first[column]) for column in SECRETS]
    chance = random.Random(1)
    rows = (copy(first, secrets, number, chance) for number in range(ROWS - 1))
    database.executemany(f"INSERT INTO sandbox ({', '.join(first)}) VALUES ({', '.join('?' * len(first))})", rows)
    database.commit()
    database.close()
    harbor.up()
    total = harbor.api("GET", "/sandbox/paginated?limit=1")["total"]
    if total != ROWS:
        raise RuntimeError(f"harbor lists {total} of {ROWS} sandboxes")


def copy(first, secrets, number, chance):
    row = str(uuid.UUID(int=chance.getrandbits(128), version=4))
    made = first["created_at"] - chance.randrange(30 * 86_400_000)
    labels = {"code-toolbox-language": "python", "group": str(number % 20), "number": str(number)}
    values = first | {"id": row, "name": f"{chance.choice(('agent', 'build', 'test'))}-{chance.getrandbits(32):08x}-{number}",
                      "labels": json.dumps(labels), "created_at": made, "updated_at": made + 60_000,
                      "last_activity_at": made + chance.randrange(60_000)}
    return [*(values | {column: bound.to(row) for column, bound in zip(SECRETS, secrets)}).values()]


def lists(setting, harbor):
    pages = {"list, first page": f"/sandbox?limit={PAGE}",
             f"list, page {DEEP}": f"/sandbox?limit={PAGE}&cursor={cursor(harbor)}",
             "list, by label": f"/sandbox?limit={PAGE}&labels={LABEL}",
             "list, by name": f"/sandbox?limit={PAGE}&sort=name&order=asc",
             "numbered list, first page": f"/sandbox/paginated?limit={PAGE}",
             f"numbered list, page {DEEP}": f"/sandbox/paginated?limit={PAGE}&page={DEEP}",
             "numbered list, by label": f"/sandbox/paginated?limit={PAGE}&labels={LABEL}",
             "numbered list, by name": f"/sandbox/paginated?limit={PAGE}&sort=name&order=asc"}
    samples, floor = {name: Samples() for name in pages}, Samples()
    database = sqlite3.connect(f"file:{harbor.data / 'harbor.db'}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    for turn in range(setting.times() + 1):
        floor_time = plain(database)
        if turn > 0:  # the first of each is not counted
            floor.add(floor_time)
        for name, path in pages.items():
            answer = harbor.connection.request("GET", "/api" + path, b"", harbor.authorization)
            if answer.status != 200 or len(answer.json()["items"]) != PAGE:
                raise RuntimeError(f"{path}: {answer.status} {answer.body[:300]!r}")
            if turn > 0:
                samples[name].add(answer.seconds * 1000)
    database.close()
    figures = [Figure(f"{name} of {PAGE}, {ROWS:,} rows", "ms", of_it, floor, TARGET) for name, of_it in samples.items()]
    deeper = [Figure(f"  page {DEEP} beside the first, {kind}", "ms", samples[f"{kind}, page {DEEP}"], samples[f"{kind}, first page"],
                     NO_SLOWER, "ratio") for kind in ("list", "numbered list")]
    return figures + deeper


def cursor(harbor):
    """What the page before the deep one ends with."""
    mark = ""
    for _ in range(DEEP - 1):
        mark = harbor.api("GET", f"/sandbox?limit={PAGE}{mark and '&cursor=' + mark}")["nextCursor"]
    return mark


def plain(database):
    """Milliseconds of reading a page from somewhere in the table and writing it as JSON."""
    beginning = f"{random.randrange(0xF0):02x}"
    started = time.perf_counter()
    rows = database.execute(f"SELECT * FROM sandbox WHERE id > ? ORDER BY id LIMIT {PAGE}", [beginning]).fetchall()
    json.dumps([dict(row) for row in rows], default=bytes.hex)
    elapsed = (time.perf_counter() - started) * 1000
    if len(rows) != PAGE:
        raise RuntimeError(f"the floor read {len(rows)} rows")
    return elapsed


def beside(setting, harbor):
    """A request that reads one row, while others read lists. Floor: the same while nobody does, in turns of five."""
    product, floor = Samples(), Samples()
    for _ in range(setting.times(8, 2)):
        floor.values += [small(harbor) for _ in range(5)]
        ended = threading.Event()
        readers = [threading.Thread(target=read_lists, args=(harbor, ended)) for _ in range(READERS)]
        for reader in readers:
            reader.start()
        try:
            time.sleep(0.5)
            product.values += [small(harbor) for _ in range(5)]
        finally:
            ended.set()
            for reader in readers:
                reader.join()
    return Figure(f"GET /users/me, {READERS} clients listing {ROWS:,} rows", "ms", product, floor, TARGET)


def small(harbor):
    return harbor.connection.request("GET", "/api/users/me", b"", harbor.authorization).seconds * 1000


def read_lists(harbor, ended):
    connection = Connection(harbor.address)
    while not ended.is_set():
        connection.request("GET", f"/api/sandbox?limit={PAGE}", b"", harbor.authorization, keep=False)
    connection.close()


def starts(setting, crowded, empty):
    product, floor = Samples(), Samples()
    for _ in range(setting.times(10, 3)):
        for harbor, samples in ((crowded, product), (empty, floor)):
            harbor.down()
            samples.add(harbor.up() * 1000)
    return [Figure(f"harbor up to ready, {ROWS:,} rows", "ms", product, floor, 300)]


def idle(setting, crowded, empty):
    """Both at the same time; a minute, for once a minute harbor compares all rows with the engine."""
    seconds = 10 if setting.quick else 60
    for harbor in (crowded, empty):
        harbor.wait_for_stock()
    time.sleep(2)
    pids = crowded.pid, empty.pid
    before = [processes.cpu_seconds(pid) for pid in pids]
    time.sleep(seconds)
    cpu = [Samples([(processes.cpu_seconds(pid) - start) / seconds * 100]) for pid, start in zip(pids, before)]
    memory = [Samples([processes.status(pid, "VmRSS") / 1e6]) for pid in pids]
    return [Figure(f"harbor idle, processor, {ROWS:,} rows", "%", *cpu, 1, note=f"over {seconds} s"),
            Figure(f"harbor idle, resident, {ROWS:,} rows", "MB", *memory, 60)]


def life(setting, crowded, empty):
    """One ordinary sandbox at a time, with the rows beside it and without, in turns."""
    names = ("create", "stop", "delete")
    samples = {harbor: {name: Samples() for name in names} for harbor in (crowded, empty)}
    for turn in range(setting.times(20, 5) + 1):
        for harbor in (crowded, empty) if turn % 2 else (empty, crowded):
            harbor.wait_for_stock()
            for name, milliseconds in zip(names, one_life(harbor)):
                if turn > 0:
                    samples[harbor][name].add(milliseconds)
    return [Figure(f"{name} of a sandbox, {ROWS:,} rows beside it", "ms", samples[crowded][name], samples[empty][name], NO_SLOWER, "ratio")
            for name in names]


def one_life(harbor):
    started = time.perf_counter()
    sandbox = harbor.create()["id"]
    made = time.perf_counter()
    harbor.api("POST", f"/sandbox/{sandbox}/stop")
    reaches(harbor, sandbox, "stopped")
    stopped = time.perf_counter()
    harbor.api("DELETE", f"/sandbox/{sandbox}")
    deadline = time.monotonic() + LIMIT
    while harbor.connection.request("GET", f"/api/sandbox/{sandbox}", b"", harbor.authorization).status != 404:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{sandbox} is still there")
        time.sleep(POLL)
    gone = time.perf_counter()
    return [(end - start) * 1000 for start, end in ((started, made), (made, stopped), (stopped, gone))]
