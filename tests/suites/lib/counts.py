"""The count of checks of a program, whose last line says `N passed, N failed`."""

import contextlib
import os
import sys
from typing import Any

_counts = {"passed": 0, "failed": 0}


def check(what: str, good: object, told: object = "") -> None:
    """Counts something that must be so; `told` is shown when it is not."""
    _counts["passed" if good else "failed"] += 1
    print(f"ok: {what}" if good else f"FAILED: {what}: {str(told)[:1500]}", flush=True)


def equal(what: str, expected: object, found: object) -> None:
    """Counts whether two values are the same; what is shown begins where they part."""
    wanted, got = repr(expected), repr(found)
    same = max(0, len(os.path.commonprefix([wanted, got])) - 40)
    check(what, expected == found, f"expected …{wanted[same:][:300]}, got …{got[same:][:300]}")


@contextlib.contextmanager
def part(what: str) -> Any:
    """A part of a program; what it does not expect is one failure, and the next part runs."""
    try:
        yield
    except Exception as error:
        check(what, False, f"{type(error).__name__}: {error} at line {error.__traceback__.tb_lineno}")


def finish() -> None:
    """The last line and the exit code."""
    print(f"{_counts['passed']} passed, {_counts['failed']} failed", flush=True)
    sys.exit(0 if _counts["passed"] and not _counts["failed"] else 1)
