"""One sandbox wants to keep harbor from starting and its neighbours from working.

A lease on a file makes everybody who opens it wait until the holder lets go, 45 seconds by default. The programs that
harbor brings lie on one volume that all sandboxes share, so a lease there is one on all of them.
"""

from lib import attack
from lib.system_calls import PROGRAM

QUICK = 15  # seconds; one lease costs 45

TAKE = (
    PROGRAM
    + """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)  # the holder is asked to let go, and does not
held, tried = [], 0
FCNTL, FCNTL_32, FCNTL64_32 = 72, 55, 221
F_SETLEASE, F_NOTIFY, F_SETDELEG = 1024, 1026, 1040
for folder, folders, names in os.walk("/opt/harbor"):
    for path in (folder, *(os.path.join(folder, name) for name in names)):
        file = os.open(path, os.O_RDONLY)
        tried += 1
        for lease in (fcntl.F_RDLCK, fcntl.F_WRLCK):  # the one that makes readers wait is what is kept
            for call, number, command in (
                (native, FCNTL, F_SETLEASE),
                (native, FCNTL, F_SETLEASE | 1 << 32),  # the kernel looks at the lower half only
                (native, FCNTL, F_SETDELEG),
                (compatible, FCNTL_32, F_SETLEASE),
                (compatible, FCNTL64_32, F_SETLEASE),
            ):
                if call(number, file, command, lease)[0] == 0:
                    held.append((path, number, command, lease))
        if os.path.isdir(path) and native(FCNTL, file, F_NOTIFY, 0x3F)[0] == 0:
            held.append((path, FCNTL, F_NOTIFY))
print(tried, held)
sys.stdout.flush()
if held:
    if os.fork() == 0:  # goes on holding them
        os.setsid()
        quiet = os.open("/dev/null", os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(quiet, number)
        signal.pause()
    os._exit(0)
"""
)

attacker, neighbour = attack.sandbox(), attack.sandbox()
code, said = attacker.root(TAKE)
attack.works("trying it on every file", code == 0 and int(said.split()[0]) >= 4, said)
attack.fails("a lease, delegation or notice on a file that all sandboxes share", "[]" not in said, said)

git = "mkdir /tmp/r && cd /tmp/r && /opt/harbor/current/harbor-git init --quiet"
(code, said), seconds = attack.timed(lambda: neighbour.run(git))
attack.works("a neighbour's git, at once", code == 0 and seconds < QUICK, f"{seconds:.1f} s: {said}")
made, seconds = attack.timed(attack.sandbox)
attack.works("making a sandbox, at once", seconds < QUICK, f"{seconds:.1f} s")
attacker.run("sudo -n pkill --signal KILL python3")
attacker.root(TAKE)  # what was broken is taken anew
attack.works("ending harbor", attack.harbor("down").returncode == 0)
begun, seconds = attack.timed(lambda: attack.harbor("up", "--json", "--wait", "100"))
attack.works("starting harbor again, at once", begun.returncode == 0 and seconds < QUICK, f"{seconds:.1f} s: {begun}")
attack.finish()
