"""What a process costs, as the kernel counts it."""
import os
import re
from pathlib import Path

KIB = 1024


def status(pid, field):
    """A size of /proc/PID/status, in bytes: VmRSS, VmHWM, RssAnon."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(rf"^{field}:\s+(\d+) kB", text, re.M)[1]) * KIB


def forget_peak(pid):
    """VmHWM starts anew from what is resident now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def parents():
    """The parent of every process."""
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                found[int(entry)] = int(Path(f"/proc/{entry}/stat").read_text().rsplit(")", 1)[1].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                pass  # ended meanwhile
    return found


def with_shim(pid):
    """The shim that a container's process 1 belongs to, and all processes under it."""
    tree = parents()
    found = [tree[pid]]
    for known in found:
        found += [child for child, parent in tree.items() if parent == known]
    return found


def proportional(pids):
    """Sum of PSS in bytes: pages shared by several processes are counted once. Needs root for processes of others."""
    total = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        total += int(re.search(r"^Pss:\s+(\d+) kB", text, re.M)[1]) * KIB
    return total
