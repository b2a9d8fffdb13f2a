"""What is asked and done in a sandbox, by commands: boot facts, files that are written and synced, and looking at them."""
from dataclasses import dataclass

DIRECTORY = "chaos"  # in the home directory


@dataclass
class Facts:
    """Of one boot of a sandbox."""

    started: str  # clock ticks since the machine's start, of process 1
    cgroup: str
    host: str

    @classmethod
    def parse(cls, lines):
        return cls(*lines[:3])


def facts_command(tag):
    """Tells the facts and which files are there, then writes the marker."""
    return (f"set -e; cut -d ' ' -f 22 /proc/1/stat; head -n 1 /proc/1/cgroup; hostname; mkdir -p ~/{DIRECTORY}; cd ~/{DIRECTORY}; "
            f"for f in *; do test ! -e \"$f\" || echo \"$f\"; done; echo {tag} >{tag}-0; sync {tag}-0 .")


def write_command(name, content):
    return f"set -e; mkdir -p ~/{DIRECTORY}; cd ~/{DIRECTORY}; echo {content} >{name}; sync {name} ."


READ = f"cd ~/{DIRECTORY} || exit 0; for f in *; do test ! -e \"$f\" || {{ printf '%s ' \"$f\"; cat \"$f\"; echo; }}; done; cut -d ' ' -f 22 /proc/1/stat >&2"


def parse_files(output):
    """Names and contents."""
    found = {}
    for line in output.splitlines():
        name, _, content = line.partition(" ")
        if "-" in name:
            found[name] = content
    return found


def tag_of(name):
    return name.rsplit("-", 1)[0]


def meet(world, client, ledger, box):
    """Asks a sandbox that was just handed out for its facts, and marks it. Nobody else may have had it."""
    with world.lock:
        sure = list(box.files.sure)  # another client may be about to meet it as well
    code, output = client.run("facts", box.id, facts_command(box.tag))
    if code != 0:
        return False
    lines = output.splitlines()
    facts, names = Facts.parse(lines), lines[3:]
    with world.lock:
        strangers = {tag_of(name) for name in names} - box.files.tags
        if strangers:
            ledger.violation("re-use", f"{box.tag} ({box.id}) was handed out with files of {', '.join(sorted(strangers))}: {names[:10]}")
        missing = [name for name in sure if name not in names]
        if missing and box.state != "error" and not box.removals:
            ledger.violation("files", f"{box.tag} ({box.id}) was made of files and begins without {missing[:5]}")
        if facts.host != box.id:
            ledger.violation("re-use", f"{box.tag} ({box.id}) is called {facts.host} inside")
        for other in world.boxes.values():
            if other is not box and other.facts and shared(facts, other.facts):
                ledger.violation("re-use", f"{box.tag} ({box.id}) was handed out as the boot that {other.tag} ({other.id}) has: {facts}")
        box.facts = facts
        box.files.sure[f"{box.tag}-0"] = box.tag
    return True


def shared(one, other):
    """A cgroup tells boots apart only where its path is seen."""
    own_path = one.cgroup.rsplit(":", 1)[1].strip("/") not in ("", "..")
    return one.host == other.host or (own_path and one.cgroup == other.cgroup)


def write(world, client, box, random):
    """Writes a file; whether it must be there from now on."""
    with world.lock:
        box.written += 1
        name, removals = f"{box.tag}-{box.written}", box.removals
    content = f"{box.tag}.{box.written}.{random.getrandbits(64):016x}"
    code, _ = client.run("exec", box.id, write_command(name, content))
    with world.lock:
        if code == 0 and box.removals == removals:
            box.files.sure[name] = content
    return code == 0


def compare(found, files):
    """What is wrong with the files that were found, as sentences."""
    wrong = []
    gone = [name for name in files.sure if name not in found]
    if gone:
        wrong.append(f"{len(gone)} of {len(files.sure)} acknowledged files are gone, such as {', '.join(gone[:5])}")
    for name, content in files.sure.items():
        if name in found and found[name] != content:
            wrong.append(f"the acknowledged file {name} holds {found[name][:60]!r} instead of {content!r}")
    foreign = {tag_of(name) for name in found} - files.tags
    if foreign:
        wrong.append(f"it holds files of {', '.join(sorted(foreign))}")
    return wrong
