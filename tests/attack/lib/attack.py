"""The harbor that is attacked, sandboxes of attackers and of neighbours, and the count of attempts.

An attack is a program: it makes what it needs with `sandbox`, tells every attempt to `fails` (or, where something must
go on working in spite of it, to `works`), and ends with `finish`, which prints `N passed, N failed`. Sandboxes are
deleted at the end, however the program ends. Standard library only.
"""

import atexit
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

API = os.environ["HARBOR_TEST_URL"]
PROXY = os.environ["HARBOR_TEST_PROXY_URL"]
KEY = os.environ["HARBOR_TEST_KEY"]
BINARY = os.environ["HARBOR_TEST_BINARY"]
DATA = os.environ["HARBOR_DATA_DIR"]
PATIENCE = 60 * int(os.environ.get("HARBOR_TEST_PATIENCE", "1"))  # seconds for one call

_counts = {"passed": 0, "failed": 0}
_sandboxes: list["Sandbox"] = []


def fails(what: str, succeeded: bool, told: object = "") -> None:
    """Counts an attempt; `succeeded` says whether the attacker got what they wanted, `told` what they saw."""
    _count(f"{what} fails", not succeeded, told)


def works(what: str, worked: bool, told: object = "") -> None:
    """Counts something that an attack, or what is done against it, must not harm."""
    _count(f"{what} works", worked, told)


def _count(what: str, good: bool, told: object) -> None:
    _counts["passed" if good else "failed"] += 1
    print(f"ok: {what}" if good else f"FAILED: {what}: {str(told)[:2000]}", flush=True)


def finish() -> None:
    """The last line and the exit code."""
    print(f"{_counts['passed']} passed, {_counts['failed']} failed", flush=True)
    sys.exit(0 if _counts["passed"] and not _counts["failed"] else 1)


def timed(call: Callable[[], Any]) -> tuple[Any, float]:
    """What the call returns, and the seconds that it took."""
    begun = time.monotonic()
    result = call()
    return result, time.monotonic() - begun


def ask(
    method: str, url: str, body: object = None, headers: dict[str, str] | None = None, patience: float = PATIENCE
) -> tuple[int, bytes]:
    """Status and body of one request with the key; the body is sent as JSON."""
    data = None if body is None else json.dumps(body).encode()
    sent = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **(headers or {})}
    request = urllib.request.Request(url, data, sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=patience) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as refusal:
        return refusal.code, refusal.read()


def api(method: str, path: str, body: object = None) -> Any:
    """The answer of a call that must succeed."""
    status, text = ask(method, f"{API}/api{path}", body)
    if status not in range(200, 300):
        raise SystemExit(f"{method} {path} answered {status}: {text[:500]!r}")
    return json.loads(text) if text else None


def harbor(*arguments: str, patience: float = 120) -> subprocess.CompletedProcess[str]:
    """The command `harbor` on the attacked installation."""
    return subprocess.run([BINARY, *arguments], capture_output=True, text=True, timeout=patience, check=False)


class Sandbox:
    """One sandbox, from outside."""

    def __init__(self, sandbox_id: str) -> None:
        self.id = sandbox_id

    def run(self, command: str, patience: float = PATIENCE) -> tuple[int, str]:
        """Exit code and output of a shell command, as the sandbox's user."""
        url = f"{PROXY}/toolbox/{self.id}/process/execute"
        status, text = ask("POST", url, {"command": command, "timeout": int(patience)}, patience=patience + 10)
        if status != 200:
            raise SystemExit(f"{command!r} was answered {status}: {text[:500]!r}")
        answer = json.loads(text)
        return answer["exitCode"], answer["result"]

    def root(self, program: str, patience: float = PATIENCE) -> tuple[int, str]:
        """Exit code and output of a Python program, as root."""
        return self.run(f"sudo -n python3 - <<'END_OF_PROGRAM' 2>&1\n{program}\nEND_OF_PROGRAM", patience)

    def delete(self) -> None:
        """Deletes it; one that is gone is fine."""
        ask("DELETE", f"{API}/api/sandbox/{self.id}")


def sandbox(**wanted: Any) -> Sandbox:
    """A new sandbox that is started."""
    made = api("POST", "/sandbox", wanted)
    new = Sandbox(made["id"])
    _sandboxes.append(new)
    deadline = time.monotonic() + PATIENCE
    while made["state"] != "started":
        if time.monotonic() > deadline:
            raise SystemExit(f"sandbox {new.id} is {made['state']}")
        time.sleep(0.1)
        made = api("GET", f"/sandbox/{new.id}")
    return new


@atexit.register
def _clean_up() -> None:
    for made in _sandboxes:
        with contextlib.suppress(OSError):  # harbor may be what the attack ended
            made.delete()
