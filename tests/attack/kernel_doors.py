"""Doors of the kernel that no sandbox needs: io_uring, which passes by filters of system calls, and the virtual
machine's own sockets, behind which the host's agents listen."""

from lib import attack
from lib.system_calls import PROGRAM

ATTEMPTS = {
    "io_uring": "any(native(number, 1, 0)[1] != EPERM for number in (425, 426, 427))",
    "io_uring of a 32-bit program": "any(compatible(number, 1, 0)[1] != EPERM for number in (425, 426, 427))",
    "a vsock": "native(41, 40, 1, 0)[1] != EPERM",
    "a vsock with a number that the kernel cuts off": "native(41, 40 | 1 << 32, 1, 0)[1] != EPERM",
    "a vsock of a 32-bit program": "compatible(359, 40, 1, 0)[1] != EPERM",
    "a vsock of an old 32-bit program": "compatible(102, 1, low_memory(struct.pack('III', 40, 1, 0)))[1] != ENOSYS",
    "a pair of vsocks": "native(53, 40, 1, 0, low_memory(bytes(8)))[0] == 0",
}

attacker = attack.sandbox()
for what, succeeds in ATTEMPTS.items():
    code, said = attacker.root(f"{PROGRAM}\nimport struct\nfrom errno import EPERM, ENOSYS\nprint({succeeds})")
    attack.fails(what, code != 0 or said.strip() != "False", said)

attack.finish()
