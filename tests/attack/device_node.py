"""Root in a sandbox makes a node of the host's disk or memory, and a user of the host, who has the number of the
sandbox's user, reads and writes it through /proc."""

from lib import attack

MAKE = """
import os
made = []
for directory in ("/tmp", "/dev", "/dev/shm", "/home/daytona", "/"):
    for kind, major, minor in ((0o60000, 8, 0), (0o60000, 254, 0), (0o60000, 259, 0), (0o20000, 1, 1), (0o20000, 5, 1)):
        path = os.path.join(directory, "node")
        try:
            os.mknod(path, kind | 0o666, os.makedev(major, minor))
            made.append((path, major, minor))
            os.unlink(path)
        except OSError:
            pass
print(made)
"""

attacker = attack.sandbox()
code, said = attacker.root(MAKE)
attack.fails("making a device node", code != 0 or said.strip() != "[]", said)
code, said = attacker.run("sudo -n grep CapBnd /proc/self/status")
allowed = int(said.split()[-1], 16)
for number, name in {7: None, 13: "NET_RAW", 16: "SYS_MODULE", 21: "SYS_ADMIN", 27: "MKNOD", 28: "LEASE"}.items():
    if name:
        attack.fails(f"having {name}", bool(allowed >> number & 1), said)
    else:
        attack.works("having what su needs (SETUID)", bool(allowed >> number & 1), said)
attack.finish()
