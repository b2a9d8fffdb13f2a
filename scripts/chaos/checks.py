"""What must hold once everything has settled: rows, containers, files on disk, states, users' files, events."""
import time

import evidence
import inside
from model import SETTLED

DEADLINE = 90.0  # seconds for everything to settle
FITTING_CONTAINERS = {  # what a container may be in which state; None: it has none
    "started": {"running"},
    "paused": {"paused"},
    "stopped": {"paused", "exited", "created", None},
    "archived": {None},
}


class Checks:
    def __init__(self, world, installation, engine, client, watcher, ledger):
        self.world, self.installation, self.engine, self.client = world, installation, engine, client
        self.watcher, self.ledger = watcher, ledger
        self.seen = set()  # ids of sandboxes that there have been
        self.told = set()  # disagreements that are violations already

    def settled(self):
        """Waits until everything agrees, or tells what does not at the deadline. The API's sandboxes, by id."""
        end, problems = time.monotonic() + DEADLINE, []
        while time.monotonic() < end:
            listed = self.list()
            problems = self.disagreements(listed) if listed is not None else [("rows", "the API's list could not be read")]
            problems = [problem for problem in problems if problem not in self.told]  # once is enough
            if not problems:
                break
            time.sleep(0.25)
        for invariant, sentence in problems:
            self.told.add((invariant, sentence))
            self.ledger.violation(invariant, f"{sentence} ({DEADLINE:.0f} s after the last operation)")
        listed = self.list() or {}
        self.model(listed)
        for problem in evidence.sound(self.installation.data / "harbor.db"):
            self.ledger.violation("rows", f"the database is not sound: {problem}")
        for panic in self.installation.panics():
            self.ledger.violation("starts", f"harbor panicked: {panic}")
        for problem in self.installation.doctor():
            self.ledger.violation("containers", f"harbor doctor says: {problem}")
        return listed

    def list(self):
        reply = self.client.api(None, "GET", "/sandbox?limit=200&includeErroredDeleted=true")
        return {item["id"]: item for item in reply.body["items"]} if reply.done else None

    def disagreements(self, listed):
        found = evidence.gather(self.installation, self.engine)
        problems = list(self.rows(found, listed)) + list(self.containers(found)) + list(self.places(found)) + list(self.states(found, listed))
        if all(problem in self.told for problem in problems):  # with everything else at rest
            problems = [("events", sentence) for sentence in self.watcher.differences({i: item["state"] for i, item in listed.items()})]
        return problems

    def rows(self, found, listed):
        own = {identity for identity, row in found.rows.items() if not row.pooled}
        for identity in own ^ set(listed):
            yield "rows", f"sandbox {identity} is only in {'the database' if identity in own else 'the API'}: {found.rows.get(identity) or listed[identity]['state']}"
        pools = self.client.api(None, "GET", "/warm-pools")
        for pool in pools.body if pools.done else []:
            if pool["currentSize"] < pool["pool"]:
                yield "rows", f"the warm pool of {pool['snapshot']} has {pool['currentSize']} of {pool['pool']} sandboxes, {pool.get('errorReason')}"

    def containers(self, found):
        for identity in set(found.sandboxes) - set(found.rows):
            yield "containers", f"container harbor-{identity} is nobody's"
        for identity in set(found.keepers) - set(found.rows) - set(found.stock):
            yield "containers", f"container harbor-infra-{identity} is nobody's"
        for identity in set(found.stock) - set(found.keepers):
            yield "containers", f"the stock counts on {identity}, which has no container"
        for image in found.images ^ found.bases:
            if image in found.images or image not in found.maybe_images:
                yield "containers", f"image {image}, which stored files {'do' if image in found.images else 'do not'} lie on, is kept or not by mistake"
        for name in found.others + found.doubles:
            yield "containers", f"container {name} is left over"
        for identity in found.kept_images & self.seen - set(found.rows):
            yield "containers", f"image harbor/kept:{identity} is nobody's"
        if len(found.volumes) != 1 or len(found.networks) != 1:
            yield "containers", f"there are {len(found.volumes)} volumes and {len(found.networks)} networks instead of one each"

    def places(self, found):
        self.seen |= set(found.rows)
        for name in found.sockets - set(found.keepers) - set(found.sandboxes):
            yield "leftovers", f"socket directory {name} is nobody's"
        stored = {name.removesuffix(".tar.zst").removesuffix(".tree") for name in found.stored}
        for name in stored - found.layers - found.named:
            yield "leftovers", f"archives/{name} is nobody's"
        for name in found.layers - stored:
            yield "leftovers", f"the layer {name} is needed and not in archives/"
        for name in found.objects:
            yield "leftovers", f"objects/{name} is nobody's"

    def states(self, found, listed):
        for identity, item in listed.items():
            state, container = item["state"], found.sandboxes.get(identity)
            told = container and container["State"]
            if state not in SETTLED:
                yield "states", f"sandbox {identity} is stuck in {state}"
            elif state == "error" and not item.get("errorReason"):
                yield "states", f"sandbox {identity} is in error without a reason"
            elif state == "started" and identity not in found.keepers:  # any other may have lost it, and is made anew when it starts
                yield "states", f"sandbox {identity} is started and has no network keeper"
            elif state == "archived" and identity in found.keepers:
                yield "states", f"sandbox {identity} is archived and its network keeper is {found.keepers[identity]['State']}"
            elif state in FITTING_CONTAINERS and told not in FITTING_CONTAINERS[state]:
                yield "states", f"sandbox {identity} is {state} and its container is {told}"

    def model(self, listed):
        """Whether what the driver was told is so."""
        with self.world.lock:
            boxes = list(self.world.boxes.values())
        names = {item["name"]: item for item in listed.values()}
        for box in boxes:
            item = listed.get(box.id) if box.id else names.get(box.name)
            if box.id is None and item is None:
                self.world.forget(box)  # it was cut off, and never made
            elif item is None:
                if not box.deleted and not box.may_vanish:
                    self.ledger.violation("rows", f"{box.tag} ({box.id}) is lost: nobody deleted it")
                box.deleted = True
            elif box.deleted:
                self.ledger.violation("rows", f"{box.tag} ({box.id}) was deleted and is {item['state']}")
            else:
                self.world.take(box, item)
                self.explained(box, item)
        known = {box.id for box in boxes}
        for item in listed.values():
            if item["id"] not in known:
                self.ledger.violation("rows", f"sandbox {item['id']} ({item['name']}) is nobody's, and {item['state']}")

    def explained(self, box, item):
        if box.disturbed:
            return
        if item["state"] == "error":
            self.ledger.violation("states", f"{box.tag} ({box.id}) is in error though nobody touched its containers: {item['errorReason']}")
        elif item["state"] != "started" and not box.stop_asked:
            self.ledger.violation("states", f"{box.tag} ({box.id}) is {item['state']} though nobody asked for that or touched its containers")

    def files(self):
        """Starts each sandbox that can be, and looks at its files and who else has its boot."""
        boots, looked, files = {}, 0, 0
        for box in self.world.live():
            if not self.brought_up(box):
                continue
            code, output = self.client.run(None, box.id, f"head -n 1 /proc/1/cgroup; hostname; {inside.READ}")
            if code != 0:
                if not box.ttl:
                    self.ledger.violation("files", f"{box.tag} ({box.id}) is started and cannot be looked into: {code} {output}")
                continue
            cgroup, host, *lines = output.splitlines()
            for wrong in inside.compare(inside.parse_files("\n".join(lines)), box.files):
                self.ledger.violation("files", f"{box.tag} ({box.id}, last fault: {box.disturbed or 'none'}): {wrong}")
            looked, files = looked + 1, files + len(box.files.sure)
            if boots.setdefault((cgroup, host), box) is not box:
                self.ledger.violation("re-use", f"{box.tag} and {boots[cgroup, host].tag} are one boot: {cgroup} {host}")
        self.ledger.say(f"looked into {looked} of {len(self.world.live())} sandboxes: {files} acknowledged files")

    def brought_up(self, box):
        """Whether it is started, after whatever it takes."""
        end, asked = time.monotonic() + 60, ""
        while time.monotonic() < end:
            reply = self.client.api(None, "GET", f"/sandbox/{box.id}")
            if not reply.done:
                break
            self.world.take(box, reply.body)
            if box.state == "started":
                return True
            if box.state == "error" and (not reply.body["recoverable"] or asked == "recover"):
                return False
            if box.state in SETTLED:
                asked = "recover" if box.state == "error" else "start"
                self.client.api(None, "POST", f"/sandbox/{box.id}/{asked}")
            time.sleep(0.1)
        if not box.may_vanish and not box.disturbed:
            self.ledger.violation("states", f"{box.tag} ({box.id}) is {box.state} 60 s after it was to be looked into")
        return False

    def nothing_left(self):
        """Deletes everything and waits until only the stock is there."""
        end = time.monotonic() + DEADLINE
        for pool in self.client.api(None, "GET", "/warm-pools").body or []:
            self.client.api(None, "DELETE", f"/warm-pools/{pool['id']}")
        for snapshot in self.client.api(None, "GET", "/snapshots?limit=200").body["items"]:
            if not snapshot["general"]:
                self.client.api(None, "DELETE", f"/snapshots/{snapshot['id']}")
        problems = ["nothing was looked at"]
        while problems and time.monotonic() < end:
            for identity in self.list() or {}:
                self.client.api(None, "DELETE", f"/sandbox/{identity}")  # one with forks, or on its way, is refused and asked again
            found = evidence.gather(self.installation, self.engine)
            problems = [f"sandbox {identity} is still there" for identity in found.rows]
            problems += [f"container harbor-{identity} is still there" for identity in found.sandboxes]
            problems += [f"archives/{name} is still there" for name in found.stored]
            disagreements = [*self.containers(found), *self.places(found)]
            problems += [sentence for invariant, sentence in disagreements if (invariant, sentence) not in self.told]
            time.sleep(0.25)
        for problem in problems:
            self.ledger.violation("leftovers", f"{problem} ({DEADLINE:.0f} s after everything was deleted)")


INVARIANTS = {
    "starts": "harbor starts again after whatever ended it",
    "answers": "every answer is a success or a refusal of the contract",
    "rows": "what was made is there, what was deleted is not, by API and database",
    "containers": "every container, volume and network is somebody's",
    "states": "states agree with the engine, none is stuck or unexplained",
    "files": "every acknowledged file is there, and nobody else's",
    "events": "the event stream tells of every change, in order",
    "re-use": "nobody is handed out what somebody else has had",
    "leftovers": "nothing is left in the data directory or after everything is deleted",
    "driver": "the driver itself works",
}
