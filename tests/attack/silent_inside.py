"""Thousands of silent connections to the toolbox, held by a program in the sandbox, do not keep its owner out."""

import time

from lib import attack

PATIENT = 5  # seconds that the owner may wait for an answer

PROGRAM = """
import resource, socket, time
_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
held = []
for _ in range(4300):
    try:
        held.append(socket.create_connection(("127.0.0.1", 2280), 2))
    except OSError:
        pass
open("/tmp/held", "w").write(str(len(held)))
time.sleep(60)
"""

owner = attack.sandbox()
owner.run(f"cat >/tmp/hold.py <<'END'\n{PROGRAM}\nEND\nnohup python3 /tmp/hold.py >/tmp/hold.log 2>&1 &")
deadline = time.monotonic() + 60
slowest, held = 0.0, ""
while not held and time.monotonic() < deadline:
    (code, held), seconds = attack.timed(lambda: owner.run("cat /tmp/held 2>/dev/null", patience=30))
    slowest = max(slowest, seconds)
attack.works("holding the connections for the attacker's program", held.isdigit() and int(held) > 4000, held)
for _ in range(5):
    (code, said), seconds = attack.timed(lambda: owner.run("echo in", patience=30))
    attack.works("a command of the owner", said == "in\n", said)
    slowest = max(slowest, seconds)
attack.fails("keeping the owner waiting", slowest > PATIENT, f"{slowest:.1f} s")
attack.finish()
