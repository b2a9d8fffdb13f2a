"""Calls of the API and of toolboxes, and what may be answered while harbor is tormented.

Allowed beside success: the contract's refusals for a wrong state or an operation in flight, with a message, and a
connection that is cut while harbor is down. Whatever else comes back is a violation.
"""
import json
import shlex
import time
from dataclasses import dataclass

from wire import Connection, WireError

LIMIT = 75.0  # seconds for an answer; the longest that harbor holds one is its start budget of ten
REFUSALS = (400, 404, 409)
TOOLBOX_REFUSALS = REFUSALS + (401, 408, 410, 502, 503, 504)  # of a sandbox that leaves under a call, or does not answer


@dataclass
class Reply:
    """`status` is 0 when the connection was cut because harbor went down."""

    status: int
    body: object = None

    @property
    def done(self):
        return 200 <= self.status < 300

    @property
    def outcome(self):
        return "done" if self.done else "refused" if self.status else "cut"

    @property
    def message(self):
        return str(self.body.get("message", "")) if isinstance(self.body, dict) else ""


class Client:
    def __init__(self, installation, ledger):
        self.installation, self.ledger = installation, ledger

    def api(self, kind, method, path, body=None):
        """A call of the API; `kind` is what it is counted as, None: not at all."""
        return self._call(kind, self.installation.address, method, "/api" + path, body, REFUSALS)

    def run(self, kind, sandbox, command, limit=30):
        """A command of `sh` in a sandbox: its exit code and output; no code where it was not run to its end."""
        body = {"command": f"sh -c {shlex.quote(command)}", "timeout": limit}
        reply = self._call(kind, self.installation.proxy_address, "POST", f"/toolbox/{sandbox}/process/execute", body, TOOLBOX_REFUSALS)
        if not reply.done or not isinstance(reply.body, dict):
            return None, reply.message or None
        return reply.body.get("exitCode"), reply.body.get("result")

    def _call(self, kind, address, method, path, body, refusals):
        what = f"{method} {path}"
        if not self.installation.up_now.wait(LIMIT):
            self.ledger.violation("starts", f"harbor has been down for {LIMIT:.0f} s")
            return Reply(0)
        starts, begun = self.installation.starts, time.monotonic()
        data = b"" if body is None else json.dumps(body).encode()
        headers = {**self.installation.authorization, "Content-Type": "application/json", "Connection": "close"}
        connection = Connection(address, LIMIT)
        try:
            answer = connection.request(method, path, data, headers)
        except (OSError, WireError) as problem:
            reply = self._cut(what, starts, problem)
        else:
            reply = self._judge(what, answer, refusals, starts)
        finally:
            connection.close()
        if kind:
            self.ledger.operation(kind, reply.outcome)
        # looks are many and tell nothing
        if kind or not reply.done:
            self.ledger.note(f"{what} {json.dumps(body)[:120] if body else ''}: {reply.status} after {time.monotonic() - begun:.2f} s {reply.message[:160]}")
        return reply

    def _cut(self, what, starts, problem):
        if self.installation.survived(starts):
            self.ledger.violation("answers", f"{what} got no answer while harbor ran: {problem!r}")
        return Reply(0)

    def _judge(self, what, answer, refusals, starts):
        try:
            body = answer.json()
        except ValueError:
            body = None
        reply = Reply(answer.status, body)
        shown = f"{what} was answered {answer.status} {answer.body[:300].decode(errors='replace')}"
        if not reply.done:
            if answer.status == 503 and not self.installation.survived(starts):
                return Reply(0)  # it is told to stop
            if answer.status not in refusals or not reply.message:
                self.ledger.violation("answers", shown)
        elif answer.status != 204 and answer.body and body is None:
            self.ledger.violation("answers", f"{shown}, which is no JSON")
        return reply
