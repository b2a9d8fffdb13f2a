"""The clients: each does random operations on random sandboxes, mostly those that their state allows."""
import threading
import time
import traceback

import inside
from model import MOVING, Box, Picture

MOST = 6  # sandboxes at a time
SMALL = "daytona-small"  # the snapshot with a warm pool of its own
# what may be asked in which state, as often as the numbers say; in any other state everything is tried
FITTING = {
    "started": {"exec": 20, "stop": 3, "stop at once": 2, "pause": 2, "fork": 3, "backup": 2, "resize": 2, "snapshot": 1, "labels": 1, "delete": 1},
    "stopped": {"start": 6, "fork": 1, "backup": 2, "archive": 3, "resize": 1, "snapshot": 1, "labels": 1, "delete": 1},
    "paused": {"start": 6, "stop": 2, "fork": 1, "backup": 2, "delete": 1},
    "archived": {"start": 6, "delete": 1},
    "error": {"recover": 4, "delete": 3},
}
# what is done again and again while harbor is to die at its journal
FAVOURITES = ("fork", "snapshot", "backup", "archive", "resize", "pause", "start", "stop", "delete", None)
ANYTHING = {name: 1 for weights in FITTING.values() for name in weights}
CREATES = ("plain", "plain", "small", "small", "sized", "with environment", "ttl", "ephemeral", "of a snapshot", "of a snapshot")


class Worker(threading.Thread):
    def __init__(self, number, world, client, watcher, ledger, random, hold, stop):
        super().__init__(daemon=True, name=f"client {number}")
        self.world, self.client, self.ledger, self.random = world, client, ledger, random
        self.watcher, self.hold, self.stop = watcher, hold, stop
        self.idle = threading.Event()

    def run(self):
        while not self.stop.is_set():
            if self.hold.is_set():
                self.idle.set()
                time.sleep(0.05)
                continue
            self.idle.clear()
            try:
                self.one()
            except Exception:  # the driver's own fault, and it must show
                self.ledger.violation("driver", f"{self.name} failed: {traceback.format_exc(limit=-3)}")
                time.sleep(1)
            time.sleep(self.random.random() * 0.15)
        self.idle.set()

    def one(self):
        boxes, favourite = self.world.live(), self.world.favourite
        if favourite and self.random.random() < 0.7:
            fitting = [box for box in boxes if box.id and favourite in FITTING.get(self.watcher.state(box.id) or box.state, ())]
            if fitting:
                return self.do(favourite, self.random.choice(fitting), len(boxes))
        if len(boxes) < MOST and self.random.random() < (0.5 if len(boxes) < 3 else 0.05):
            return self.create(self.random.choice(CREATES))
        if self.random.random() < 0.01:
            return self.delete_snapshot()
        if not boxes:
            return None
        box = self.random.choice(boxes)
        if not box.id:
            return self.find(box) if box.unanswered else None
        state = self.watcher.state(box.id) or box.state
        if state in MOVING and self.random.random() < 0.6:
            return None  # what is refused because something is in flight is not all that should be seen
        weights = FITTING.get(state, ANYTHING) if self.random.random() < 0.9 else ANYTHING
        return self.do(self.random.choices(list(weights), list(weights.values()))[0], box, len(boxes))

    def do(self, name, box, count):
        if name == "exec":
            self.exec(box)
            return self.look(box) if self.random.random() < 0.2 else None
        if name == "fork":
            return self.fork(box) if count < MOST + (2 if self.world.favourite else 0) else None
        if name == "snapshot":
            return self.snapshot(box)
        return getattr(self, f"to_{name.replace(' ', '_')}")(box)

    def exec(self, box):
        """Must succeed in a sandbox that is started all the time, and that nobody meddles with."""
        starts, changes, state = self.client.installation.starts, self.watcher.changes[box.id], self.watcher.state(box.id)
        if box.facts:
            done = inside.write(self.world, self.client, box, self.random)
        else:
            done = inside.meet(self.world, self.client, self.ledger, box)
        if done or state != "started" or box.disturbed or box.may_vanish:
            return
        time.sleep(0.5)  # for the event that explains it
        meddled = box.disturbed or self.world.engine_away.is_set()
        if self.watcher.connected and changes == self.watcher.changes[box.id] and self.client.installation.survived(starts) and not meddled:
            self.ledger.violation("answers", f"a command in {box.tag} ({box.id}), which is started and left alone, was not run")

    def create(self, how):
        tag = self.world.tag("s")
        body, begins = {"name": tag}, None
        if how == "small":
            body["snapshot"] = SMALL
        elif how == "sized":
            body["cpu"] = 2
        elif how == "with environment":
            body["env"] = {"CHAOS": tag}
        elif how == "ttl":
            body["ttlMinutes"] = 1
        elif how == "ephemeral":
            body["autoDeleteInterval"] = 0
        elif how == "of a snapshot":
            with self.world.lock:
                pictures = list(self.world.pictures.values())
            if not pictures:
                return None
            picture = self.random.choice(pictures)
            body["snapshot"], begins = picture.name, picture.files
        box = self.world.add(Box(tag, begins, how == "ephemeral", how == "ttl"))
        return self.handed_out(box, self.client.api(f"create {how}", "POST", "/sandbox", body))

    def fork(self, box):
        tag = self.world.tag("f")
        with self.world.lock:
            child = self.world.add(Box(tag, box.files, box.ephemeral, parent=box))
            child.disturbed = box.disturbed
        return self.handed_out(child, self.client.api("fork", "POST", f"/sandbox/{box.id}/fork", {"name": tag}))

    def handed_out(self, box, reply):
        """Takes the answer to a create or fork. Where there was none, or a failure, the name tells whether it was made."""
        if not reply.done:
            self.failed(box, reply)
            box.unanswered = True
            return self.find(box)
        self.world.take(box, reply.body)
        if box.state == "started":
            inside.meet(self.world, self.client, self.ledger, box)
        return None

    def find(self, box):
        reply = self.client.api(None, "GET", f"/sandbox/{box.name}")
        if reply.status == 404:
            self.world.forget(box)
        self.world.take(box, reply.body)

    def act(self, kind, box, path, body=None, method="POST"):
        reply = self.client.api(kind, method, f"/sandbox/{box.id}{path}", body)
        self.world.take(box, reply.body)
        self.failed(box, reply)
        if reply.status == 404:
            self.gone(box, kind)
        return reply

    def failed(self, box, reply):
        """A start that fails is no refusal, unless somebody meddled."""
        if reply.status == 400 and "failed to start" in reply.message and not box.disturbed:
            self.ledger.violation("states", f"{box.tag} ({box.id}), which nobody touched: {reply.message}")

    def gone(self, box, kind):
        with self.world.lock:
            if not (box.may_vanish or box.deleted):
                self.ledger.violation("rows", f"{box.tag} ({box.id}) was there and is not found at a {kind}")
            box.deleted = True

    def look(self, box):
        self.act(None, box, "", method="GET")

    def to_start(self, box):
        self.act("start", box, "/start")

    def to_stop(self, box, query=""):
        with self.world.lock:
            box.stop_asked = True
            box.may_vanish |= box.ephemeral
        self.act("stop, forced" if query else "stop", box, f"/stop{query}")

    def to_stop_at_once(self, box):
        self.to_stop(box, "?force=true")

    def to_pause(self, box):
        with self.world.lock:
            box.stop_asked = True
        self.act("pause", box, "/pause")

    def to_backup(self, box):
        with self.world.lock:
            files, removals = box.files.copy(), box.removals
            since = f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime())}.000Z"
        reply = self.act("backup", box, "/backup")
        with self.world.lock:
            if reply.done and removals == box.removals:
                box.backup_asked = (files, removals, since)

    def to_archive(self, box):
        with self.world.lock:
            box.stop_asked = True
        reply = self.act("archive", box, "/archive")
        with self.world.lock:
            if reply.outcome != "refused":
                box.stored = box.backup_asked = None  # the archive takes the backup's place, and goes when it is started

    def to_resize(self, box):
        self.act("resize", box, "/resize", self.random.choice([{"cpu": 2}, {"cpu": 1}, {"memory": 2}, {"memory": 1}, {"disk": 4}, {"cpu": 2, "memory": 2}]))

    def to_labels(self, box):
        label = f"{self.random.getrandbits(32):08x}"
        reply = self.act("labels", box, "/labels", {"labels": {"chaos": label}}, "PUT")
        if reply.done and reply.body.get("labels") != {"chaos": label}:
            self.ledger.violation("answers", f"labels of {box.tag} were set to {label} and answered {reply.body}")

    def snapshot(self, box):
        name = self.world.tag("p")
        with self.world.lock:
            many, files = len(self.world.pictures) >= 3, box.files.copy()
        if many:
            self.delete_snapshot()
        reply = self.act("snapshot", box, "/snapshot", {"name": name})
        if reply.outcome != "refused":
            with self.world.lock:
                self.world.pictures[name] = Picture(name, files, box)

    def delete_snapshot(self):
        with self.world.lock:
            if not self.world.pictures:
                return
            name = self.random.choice(list(self.world.pictures))
            del self.world.pictures[name]
        self.client.api("delete snapshot", "DELETE", f"/snapshots/{name}")

    def to_recover(self, box):
        with self.world.lock:
            box.stop_asked |= bool(query := self.random.choice(["", "", "?skipStart=true"]))
        self.act("recover", box, f"/recover{query}")

    def to_delete(self, box):
        with self.world.lock:
            may_vanish, box.may_vanish = box.may_vanish, True
        reply = self.act("delete", box, "", method="DELETE")
        with self.world.lock:
            if reply.done:
                box.deleted = True
            elif reply.status:
                box.may_vanish = may_vanish
