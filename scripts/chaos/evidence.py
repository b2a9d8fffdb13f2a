"""What there is, as everybody tells it: the database, the engine, and the data directory."""
import json
import os
import sqlite3
import urllib.parse
from dataclasses import dataclass, field


@dataclass
class Row:
    """A sandbox by the database, gone ones left out."""

    id: str
    pooled: bool
    seen: dict
    files: dict
    ran: bool  # ever
    failed: bool


@dataclass
class Evidence:
    rows: dict = field(default_factory=dict)  # by id
    stock: dict = field(default_factory=dict)  # whether each is ready, by id
    layers: set = field(default_factory=set)  # that a row needs
    named: set = field(default_factory=set)  # that a row names and does not need, or not yet
    sandboxes: dict = field(default_factory=dict)  # containers by sandbox id
    keepers: dict = field(default_factory=dict)
    bases: set = field(default_factory=set)  # images that a container keeps
    images: set = field(default_factory=set)  # that layers which a row needs lie on
    maybe_images: set = field(default_factory=set)  # the same of layers that it may need
    others: list = field(default_factory=list)  # names of containers of any other kind
    doubles: list = field(default_factory=list)
    volumes: list = field(default_factory=list)
    networks: list = field(default_factory=list)
    kept_images: set = field(default_factory=set)
    sockets: set = field(default_factory=set)  # names of socket directories
    stored: set = field(default_factory=set)  # names of files in archives/
    objects: list = field(default_factory=list)


def gather(installation, engine):
    found = Evidence()
    _database(found, installation.data / "harbor.db")
    _engine(found, engine, installation.instance)
    infra = installation.data / "run/infra"
    found.sockets = {entry.name for entry in os.scandir(infra) if entry.is_dir() and "-" in entry.name}
    found.stored = set(os.listdir(installation.data / "archives"))
    found.objects = [name for _, _, names in os.walk(installation.data / "objects") for name in names]
    return found


def _read(path):
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)


def _database(found, path):
    database = _read(path)
    try:
        for identity, pool, seen, files, ran, failure in database.execute(
                "SELECT id, warm_pool, seen, files, started_once, failure FROM sandbox WHERE removed = 0"):
            row = Row(identity, pool is not None, json.loads(seen), json.loads(files) if files else {}, bool(ran), failure is not None)
            found.rows[identity] = row
            _layers(found, row)
        found.stock = dict(database.execute("SELECT sandbox, ready FROM infra_stock"))
        for [layer] in database.execute("SELECT layer FROM snapshot WHERE layer IS NOT NULL"):
            found.layers.add(json.loads(layer)["id"])
            found.images.add(json.loads(layer)["image"])
    finally:
        database.close()


def _layers(found, row):
    """What it begins with is needed until it has run; harbor keeps it in some states after that if it is still there."""
    beginning = row.files.get("beginning")
    if isinstance(beginning, dict) and row.seen["kind"] in ("absent", "made", "archived"):
        (found.named if row.ran else found.layers).add(beginning["layer"]["id"])
        (found.maybe_images if row.ran else found.images).add(beginning["layer"]["image"])
    if row.files.get("backup"):
        found.layers.add(row.files["backup"]["layer"]["id"])
        found.images.add(row.files["backup"]["layer"]["image"])
    if row.files.get("copying"):
        found.named.add(row.files["copying"]["layer"])


def _engine(found, engine, instance):
    for container in engine.containers(f"harbor.instance={instance}"):
        role, name = container["Labels"].get("harbor.role"), container["Names"][0].lstrip("/")
        sandbox = container["Labels"].get("harbor.sandbox")
        if role == "base":
            found.bases.add(container["Labels"]["harbor.image"])
            continue
        of_role = {"sandbox": found.sandboxes, "infra": found.keepers}.get(role)
        if of_role is None:
            found.others.append(name)
        elif name == f"harbor-{sandbox}-new" and sandbox in found.rows and found.rows[sandbox].failed:
            continue  # what an attempt left that was given up; the next one, or a delete, removes it
        elif sandbox in of_role or name != {"sandbox": f"harbor-{sandbox}", "infra": f"harbor-infra-{sandbox}"}[role]:
            found.doubles.append(name)
        else:
            of_role[sandbox] = container
    filters = urllib.parse.quote(json.dumps({"label": [f"harbor.instance={instance}"]}))
    found.volumes = [volume["Name"] for volume in engine.call("GET", f"/volumes?filters={filters}")["Volumes"] or []]
    found.networks = [network["Name"] for network in engine.call("GET", f"/networks?filters={filters}")]
    for image in engine.call("GET", "/images/json"):
        found.kept_images |= {tag.split(":", 1)[1] for tag in image.get("RepoTags") or [] if tag.startswith("harbor/kept:")}


def sound(path):
    """What SQLite finds wrong with the database."""
    database = _read(path)
    try:
        found = database.execute("PRAGMA integrity_check").fetchall() + database.execute("PRAGMA foreign_key_check").fetchall()
        return [] if found == [("ok",)] else [str(found[:5])]
    finally:
        database.close()
