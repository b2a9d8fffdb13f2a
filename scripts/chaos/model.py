"""What the driver knows of what it made: what must be there, what may be there, and what nobody may find.

A sandbox's files are one directory of small ones, each written once under a name that begins with the tag of the sandbox
that it was written in. So whose a file is can be read from its name, and a copy of another one's files shows.
"""
import threading
from dataclasses import dataclass, field

SETTLED = ("started", "stopped", "paused", "archived", "error")
MOVING = ("creating", "restoring", "starting", "stopping", "resizing", "snapshotting", "forking", "pausing", "resuming", "archiving", "destroying")


@dataclass
class Files:
    """A set of files at one moment: those that must be there, and whose may be there beside them."""

    sure: dict = field(default_factory=dict)  # names and contents that were acknowledged
    tags: set = field(default_factory=set)  # of the sandboxes that they may come from

    def copy(self):
        return Files(dict(self.sure), set(self.tags))


class Box:
    """A sandbox as the driver knows it."""

    def __init__(self, tag, begins=None, ephemeral=False, ttl=False, parent=None):
        self.tag = self.name = tag
        self.id, self.state, self.parent = None, "", parent
        begins = begins.copy() if begins else Files()
        self.files = Files(begins.sure, begins.tags | {tag})
        self.inherited = set(begins.tags)
        self.written = 0
        self.removals = 0  # how often somebody removed its container
        self.stored = None  # what its last backup that is known to be complete holds
        self.backup_asked = None  # what must be in the one that was asked for: (files, removals)
        self.disturbed = ""  # the last fault that hit its containers, or those that its files come from
        self.stop_asked = False  # ever
        self.ephemeral, self.ttl = ephemeral, ttl
        self.may_vanish = ttl  # a delete may have been taken up, or follows from something
        self.deleted = False  # a delete was acknowledged
        self.unanswered = False  # the request that makes it is over, and its answer names no id
        self.facts = None  # of its first boot, once it was asked

    def disturb(self, fault):
        self.disturbed = fault
        self.may_vanish |= self.ephemeral

    def lose_container(self):
        """Somebody removed its container: its files are those of its backup, if it has one."""
        self.removals += 1
        self.files.sure = dict(self.stored.sure) if self.stored else {}

    def note_backup(self, body):
        """Takes what the API tells of its backup."""
        if self.backup_asked and body.get("backupState") == "Completed":
            files, removals, since = self.backup_asked
            if removals == self.removals and body.get("backupCreatedAt", "") >= since:
                self.stored, self.backup_asked = files, None


@dataclass
class Picture:
    """A snapshot that was made of a sandbox."""

    name: str
    files: Files
    source: Box


class World:
    """Everything that the driver made and has not seen go. Its lock guards all of it."""

    def __init__(self):
        self.lock = threading.RLock()
        self.boxes, self.pictures, self.made = {}, {}, 0
        self.engine_away = threading.Event()  # while all containers end, also those of sandboxes that are made meanwhile
        self.favourite = None  # what all clients mostly do for now, so that harbor dies in the middle of it

    def tag(self, letter):
        with self.lock:
            self.made += 1
            return f"{letter}{self.made}"

    def add(self, box):
        with self.lock:
            self.boxes[box.tag] = box
        return box

    def live(self):
        """Those that nobody has deleted, so far as is known."""
        with self.lock:
            return [box for box in self.boxes.values() if not box.deleted]

    def forget(self, box):
        with self.lock:
            self.boxes.pop(box.tag, None)

    def take(self, box, body):
        """Takes what an answer tells of a sandbox."""
        if not isinstance(body, dict) or "state" not in body:
            return
        with self.lock:
            box.id, box.state = body.get("id", box.id), body["state"]
            box.note_backup(body)

    def strangers(self, box):
        """Tags of everybody else's files, which must not be found in this one."""
        with self.lock:
            return {other.tag for other in self.boxes.values()} - box.files.tags
