"""Samples, targets, the table and the JSON file."""
import datetime
import json
import math
import os
import platform
import re
import statistics
import subprocess
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Samples:
    """Measured values of one kind."""
    values: list[float] = field(default_factory=list)

    def add(self, value):
        self.values.append(value)

    @property
    def median(self):
        return statistics.median(self.values)

    def quantile(self, share):
        """Nearest rank."""
        return sorted(self.values)[max(0, math.ceil(share * len(self.values)) - 1)]

    def summary(self):
        return {"n": len(self.values), "median": round(self.median, 4), "p95": round(self.quantile(0.95), 4), "min": round(min(self.values), 4)}


@dataclass
class Figure:
    """One line of the table. The target is on `measure`: the ratio of the medians, or the product's median itself."""
    name: str
    unit: str  # ms, MB, MB/s, %, count
    product: Samples
    floor: Samples | None = None
    target: float | None = None
    measure: str = "value"  # or "ratio"
    at_least: bool = False  # the target is a lower bound
    note: str = ""

    @property
    def ratio(self):
        return self.product.median / self.floor.median if self.floor and self.floor.median else None

    @property
    def verdict(self):
        if self.target is None:
            return ""
        value = self.ratio if self.measure == "ratio" else self.product.median
        return "OK" if (value >= self.target if self.at_least else value <= self.target) else ("under" if self.at_least else "over")

    def target_text(self):
        if self.target is None:
            return ""
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.target:g} ×" if self.measure == "ratio" else f"{sign} {self.target:g} {self.unit}"

    def row(self):
        floor = [short(self.floor.median), short(self._slow(self.floor))] if self.floor else ["", ""]
        ratio = f"{self.ratio:.2f}" if self.ratio is not None else ""
        return [self.name, self.unit, short(self.product.median), short(self._slow(self.product)), *floor, ratio, self.target_text(), self.verdict]

    def _slow(self, samples):
        """The bad end: high times, low rates."""
        return samples.quantile(0.05 if self.unit == "MB/s" else 0.95)

    def summary(self):
        found = {"name": self.name, "unit": self.unit, "product": self.product.summary()}
        if self.floor:
            found |= {"floor": self.floor.summary()} | ({} if self.ratio is None else {"ratio": round(self.ratio, 4)})
        if self.target is not None:
            found |= {"target": self.target_text(), "verdict": self.verdict}
        return found | ({"note": self.note} if self.note else {})


def short(value):
    if value >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


HEAD = ["figure", "unit", "harbor", "p95", "floor", "p95", "ratio", "target", ""]


def table(figures):
    rows = [HEAD] + [figure.row() for figure in figures]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    return "\n".join("  ".join(cell.ljust(width) if i in (0, 1, 7, 8) else cell.rjust(width) for i, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows)


def machine(engine, binary):
    """What the figures were taken on."""
    info, version = engine.call("GET", "/info"), engine.call("GET", "/version")
    model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    return {
        "cpu": f"{os.cpu_count()} × {model[1] if model else platform.machine()}",
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "system": info["OperatingSystem"],
        "engine": f"{version['Version']}, API {version['ApiVersion']}, {info['Driver']}, cgroup v{info.get('CgroupVersion', '1')}, {info.get('DefaultRuntime')}",
        "load": os.getloadavg()[0],
        "harbor": {"build": Path(binary).resolve().parent.name, "mb": round(Path(binary).stat().st_size / 1e6, 1), "commit": commit()},
    }


def machine_line(about):
    return f"{about['cpu']}, {about['memory_gib']} GiB, {about['system']}, kernel {about['kernel']}, engine {about['engine']}, load {about['load']:.1f}, harbor {about['harbor']['commit']} ({about['harbor']['build']} build)"


def commit():
    done = subprocess.run(["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty"], capture_output=True, text=True)
    return done.stdout.strip() or "unknown"


def write(path, about, quick, figures, details):
    document = {"at": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"), "quick": quick, "machine": about,
                "figures": [figure.summary() for figure in figures], "details": details}
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
