"""Cold creation: plain container, sandbox with infra made on demand, sandbox with infra from the stock, in turns."""
import re
import statistics
import time

from report import Figure, Samples
from setting import first_answer

REST = 0.15  # seconds for the engine to come to rest between two
UNITS = {"ns": 1e-6, "µs": 1e-3, "ms": 1.0, "s": 1e3}


def measure(setting):
    on_demand = setting.another_harbor("on-demand", 0)
    try:
        on_demand.up()
        return compare(setting, on_demand)
    finally:
        on_demand.remove()


def compare(setting, on_demand):
    subjects = {"floor": lambda: plain(setting), "on demand": lambda: sandbox(on_demand), "from stock": lambda: sandbox(setting.harbor)}
    samples = {name: Samples() for name in subjects}
    for subject in subjects.values():
        subject()  # the first of each is not counted
    positions = {harbor: harbor.log_position() for harbor in (on_demand, setting.harbor)}
    names = list(subjects)
    for turn in range(setting.times()):
        for name in names[turn % 3:] + names[:turn % 3]:
            setting.harbor.wait_for_stock()
            time.sleep(REST)
            samples[name].add(subjects[name]())
    for name, harbor in (("on demand", on_demand), ("from stock", setting.harbor)):
        report_steps(setting, name, harbor.log_since(positions[harbor]))
    return [Figure("cold create, infra on demand", "ms", samples["on demand"], samples["floor"], 1.15, "ratio"),
            Figure("cold create, infra from stock", "ms", samples["from stock"], samples["floor"], 0.6, "ratio")]


def plain(setting):
    """Milliseconds from asking the engine for a container on a bridge to its first HTTP answer."""
    started = time.perf_counter()
    container, address = setting.plain_container()
    connection = first_answer(address)
    elapsed = (time.perf_counter() - started) * 1000
    connection.close()
    setting.engine.remove(container)
    return elapsed


def sandbox(harbor):
    """Milliseconds from POST /sandbox to its being started."""
    started = time.perf_counter()
    made = harbor.create()
    elapsed = (time.perf_counter() - started) * 1000
    harbor.delete(made["id"])
    return elapsed


def report_steps(setting, name, events):
    """How long each step took, as harbor logged it."""
    steps = {}
    for event in events:
        if event["message"] == "step taken":
            steps.setdefault(event["step"], []).append(milliseconds(event["elapsed"]))
        elif event["message"] == "answered" and event.get("method") == "POST" and event.get("route") == "/api/sandbox":
            steps.setdefault("answered", []).append(milliseconds(event["elapsed"]))
    medians = {step: round(statistics.median(values), 1) for step, values in steps.items()}
    setting.details[f"create {name}"] = medians
    setting.notes.append(f"create, infra {name}: " + ", ".join(f"{step} {value} ms" for step, value in medians.items()))


def milliseconds(text):
    number, unit = re.fullmatch(r"([\d.]+)(ns|µs|ms|s)", text).groups()
    return float(number) * UNITS[unit]
