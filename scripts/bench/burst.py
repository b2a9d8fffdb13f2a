"""100 creates at once. Floor: 100 plain containers, as many at a time as is quickest on few cores."""
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import processes
from report import Figure, Samples
from setting import TOOLBOX, first_answer
from wire import Connection

COUNT = 100


def measure(setting):
    pid = setting.harbor.pid
    processes.forget_peak(pid)
    wall, made, failures, each = burst(setting)
    peak = processes.status(pid, "VmHWM") / 1e6
    started = time.perf_counter()
    setting.harbor.delete(*made)
    setting.details["burst"] = {"failures": failures[:5], "harbor_peak_mb": peak, "delete_all_seconds": time.perf_counter() - started}
    setting.notes += [f"burst: a create failed: {failure}" for failure in failures[:3]]
    floor = plain(setting)
    succeeded = Samples([100 * len(made) / COUNT])
    return [Figure(f"{COUNT} creates at once, succeeded", "%", succeeded, target=100, at_least=True),
            Figure(f"{COUNT} creates at once, wall clock", "s", Samples([wall]), Samples([floor])),
            *([Figure(f"{COUNT} creates at once, each", "s", each)] if each.values else []),
            Figure("harbor's peak meanwhile, resident", "MB", Samples([peak]))]


def burst(setting):
    """Seconds until the last one was started, ids, failures and the seconds of each."""
    gate, lock, made, failures, each = threading.Event(), threading.Lock(), [], [], Samples()

    def one():
        connection = Connection(setting.harbor.address, 300)
        gate.wait()
        started = time.perf_counter()
        try:
            sandbox = setting.harbor.create(connection)["id"]
        except Exception as failure:  # whatever it is, it counts
            with lock:
                failures.append(str(failure))
        else:
            with lock:
                made.append(sandbox)
                each.add(time.perf_counter() - started)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(COUNT)]
    for thread in threads:
        thread.start()
    started = time.perf_counter()
    gate.set()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started, made, failures, each


def plain(setting):
    """Seconds until the last one answered."""
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
        list(pool.map(one, range(COUNT)))
    elapsed = time.perf_counter() - started
    for container in made:
        setting.engine.remove(container)
    return elapsed
