"""Many creates at once. Floor: as many plain containers, as many of them at a time as is quickest on few cores."""
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import processes
from report import Figure, Samples
from setting import TOOLBOX, first_answer
from wire import Connection

FIRST = 32  # a first burst, which finds next to nothing ready, and a second one, which finds what the first has left
LARGE = 100


def measure(setting):
    with setting.running_harbor("burst", 2) as harbor:
        return compare(setting, harbor)


def compare(setting, harbor):
    first, small_floor = wall_clock(setting, harbor, FIRST), plain(setting, FIRST)
    harbor.stock = FIRST  # follows demand
    harbor.wait_for_stock()
    again = wall_clock(setting, harbor, FIRST)
    processes.forget_peak(harbor.pid)
    wall, made, failures, each = burst(harbor, LARGE)
    peak = processes.status(harbor.pid, "VmHWM") / 1e6
    started = time.perf_counter()
    harbor.delete(*made)
    setting.details["burst"] = {"failures": failures[:5], "harbor_peak_mb": peak, "delete_all_seconds": time.perf_counter() - started}
    setting.notes += [f"burst: a create failed: {failure}" for failure in failures[:3]]
    floor = plain(setting, LARGE)
    return [Figure(f"{FIRST} creates at once, wall clock", "s", Samples([first]), Samples([small_floor]), 1.3, "ratio"),
            Figure("the same again, after it", "s", Samples([again]), Samples([small_floor]), 0.5, "ratio"),
            Figure(f"{LARGE} creates at once, succeeded", "%", Samples([100 * len(made) / LARGE]), target=100, at_least=True),
            Figure(f"{LARGE} creates at once, wall clock", "s", Samples([wall]), Samples([floor])),
            *([Figure(f"{LARGE} creates at once, each", "s", each)] if each.values else []),
            Figure("harbor's peak meanwhile, resident", "MB", Samples([peak]))]


def wall_clock(setting, harbor, count):
    """Seconds of a burst whose sandboxes are deleted afterwards."""
    wall, made, failures, _ = burst(harbor, count)
    setting.notes += [f"burst: a create failed: {failure}" for failure in failures[:3]]
    harbor.delete(*made)
    return wall


def burst(harbor, count):
    """Seconds until the last one was started, ids, failures and the seconds of each."""
    gate, lock, made, failures, each = threading.Event(), threading.Lock(), [], [], Samples()

    def one():
        connection = Connection(harbor.address, 300)
        gate.wait()
        started = time.perf_counter()
        try:
            sandbox = harbor.create(connection)["id"]
        except Exception as failure:  # whatever it is, it counts
            with lock:
                failures.append(str(failure))
        else:
            with lock:
                made.append(sandbox)
                each.add(time.perf_counter() - started)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(count)]
    for thread in threads:
        thread.start()
    started = time.perf_counter()
    gate.set()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started, made, failures, each


def plain(setting, count):
    """Seconds until the last one of so many answered."""
    local = threading.local()
    made = []

    def one(number):
        if not hasattr(local, "engine"):
            local.engine = setting.engine.another()
            local.engine.made = 1000 * (number + 1)
        container, address = setting.plain_container(engine=local.engine)
        made.append(container)
        first_answer(address).close()

    setting.delivered(TOOLBOX)  # not measured
    started = time.perf_counter()
    with ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
        list(pool.map(one, range(count)))
    elapsed = time.perf_counter() - started
    for container in made:
        setting.engine.remove(container)
    return elapsed
