"""What was done and what went wrong, told as it happens and counted at the end.

Guarantees: every line is in the log file with its second; faults and violations are printed as well.
"""
import collections
import sys
import threading
import time


class Ledger:
    def __init__(self, path):
        self.lock, self.begun = threading.Lock(), time.monotonic()
        self.file = open(path, "a", buffering=1, encoding="utf-8")
        self.operations, self.faults = collections.Counter(), collections.Counter()
        self.refused, self.cut = collections.Counter(), collections.Counter()
        self.under_way = collections.Counter()  # states in which harbor left sandboxes when it died
        self.restarts, self.violations = 0, []

    def seconds(self):
        return time.monotonic() - self.begun

    def note(self, text):
        """A line for the log file alone."""
        with self.lock:
            self.file.write(f"{time.strftime('%H:%M:%S')}.{int(time.time() * 1000) % 1000:03} {self.seconds():8.2f} {text}\n")

    def say(self, text):
        self.note(text)
        with self.lock:
            print(f"{self.seconds():7.1f} s  {text}", file=sys.stderr, flush=True)

    def fault(self, kind, detail=""):
        with self.lock:
            self.faults[kind] += 1
        self.say(f"fault: {kind}{f', {detail}' if detail else ''}")

    def died(self, states):
        with self.lock:
            self.under_way.update(states)

    def operation(self, kind, outcome):
        """`outcome` is done, refused or cut."""
        with self.lock:
            self.operations[kind] += 1
            if outcome == "refused":
                self.refused[kind] += 1
            elif outcome == "cut":
                self.cut[kind] += 1

    def violation(self, invariant, sentence):
        """Says that `invariant` does not hold; the same sentence counts once."""
        with self.lock:
            if (invariant, sentence) in self.violations:
                return
            self.violations.append((invariant, sentence))
        self.say(f"VIOLATION, {invariant}: {sentence}")

    def summary(self):
        faults = ", ".join(f"{kind} {count}" for kind, count in sorted(self.faults.items())) or "none"
        lines = ["operation          asked  refused  cut off"]
        for kind, count in sorted(self.operations.items()):
            lines.append(f"{kind:18} {count:5} {self.refused[kind]:8} {self.cut[kind]:8}")
        total = sum(self.operations.values())
        lines.append(f"{total} operations, {sum(self.faults.values())} faults, {self.restarts} starts of harbor, {self.seconds():.0f} s")
        lines.append(f"faults: {faults}")
        lines.append("under way when harbor was killed: " + (", ".join(f"{state} {count}" for state, count in sorted(self.under_way.items())) or "nothing"))
        return "\n".join(lines)
