"""Cold creation: plain container, sandbox with infra made on demand, sandbox with infra from the stock, in turns.

The floor is a plain container on the engine's own bridge. harbor's network is one of its own without traffic between
containers, for which the engine does more at each start; how much, a plain container on such a network shows.
"""
import re
import statistics
import time

from report import Figure, Samples
from setting import first_answer

REST = 0.15  # seconds for the engine to come to rest between two
UNITS = {"ns": 1e-6, "µs": 1e-3, "ms": 1.0, "s": 1e3}


def measure(setting):
    with setting.running_harbor("on-demand", 0) as on_demand:
        return compare(setting, on_demand)


def compare(setting, on_demand):
    network = setting.engine.network(**{"com.docker.network.bridge.enable_icc": "false"})
    subjects = {"floor": lambda: plain(setting, "bridge"), "own network": lambda: plain(setting, network),
                "on demand": lambda: sandbox(on_demand), "from stock": lambda: sandbox(setting.harbor)}
    samples = {name: Samples() for name in subjects}
    for subject in subjects.values():
        subject()  # the first of each is not counted
    positions = {harbor: harbor.log_position() for harbor in (on_demand, setting.harbor)}
    names = list(subjects)
    for turn in range(setting.times()):
        for name in names[turn % len(names):] + names[:turn % len(names)]:
            setting.harbor.wait_for_stock()
            time.sleep(REST)
            samples[name].add(subjects[name]())
    for name, harbor in (("on demand", on_demand), ("from stock", setting.harbor)):
        report_steps(setting, name, harbor.log_since(positions[harbor]))
    return [Figure("cold create, infra on demand", "ms", samples["on demand"], samples["floor"], 1.15, "ratio"),
            Figure("cold create, infra from stock", "ms", samples["from stock"], samples["floor"], 0.6, "ratio"),
            Figure("  plain, on a network like harbor's", "ms", samples["own network"], samples["floor"])]


def plain(setting, network):
    """Milliseconds from asking the engine for a container on a network to its first HTTP answer."""
    started = time.perf_counter()
    container, address = setting.plain_container(network=network)
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
