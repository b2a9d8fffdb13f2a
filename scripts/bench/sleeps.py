"""Stops and starts of a sandbox that sleeps while it is stopped: until it is stopped, and until its first command has ended.
And starts of one that is paused, beside the engine's own unpause.
"""
import time

from copies import reaches
from report import Figure, Samples
from setting import IMAGE
from wire import Connection

REST = 0.1  # seconds for the engine to come to rest between two


def measure(setting):
    harbor = setting.harbor
    sandbox = harbor.create()["id"]
    proxy = Connection(harbor.proxy_address)
    stops, starts = Samples(), Samples()
    for _ in range(setting.times()):
        harbor.run(proxy, sandbox, "sleep 1000 >/dev/null 2>&1 &")
        time.sleep(REST)
        started = time.perf_counter()
        harbor.api("POST", f"/sandbox/{sandbox}/stop")
        reaches(harbor, sandbox, "stopped")
        stops.add((time.perf_counter() - started) * 1000)
        time.sleep(REST)
        started = time.perf_counter()
        harbor.api("POST", f"/sandbox/{sandbox}/start")
        harbor.run(proxy, sandbox, "true")
        starts.add((time.perf_counter() - started) * 1000)
    proxy.close()
    unpaused, floor = unpause(setting, sandbox)
    harbor.delete(sandbox)
    name = "start of a sleeping one, and first command"
    beyond = Samples([unpaused.median - floor.median])
    return [Figure("stop, with a process running", "ms", stops, None, 300),
            Figure(name, "ms", starts),
            Figure(f"{name}, p95", "ms", Samples([starts.quantile(0.95)]), None, 25),
            Figure("start of a paused one; the engine's unpause", "ms", unpaused, floor),
            Figure("start of a paused one, beyond the engine's unpause", "ms", beyond, None, 5)]


def unpause(setting, sandbox):
    """Starts of the paused sandbox, and unpauses of a plain container in turns with them."""
    harbor, engine = setting.harbor, setting.engine
    plain = engine.create(IMAGE, {"NetworkMode": "none"}, Entrypoint=["sleep", "10000"])
    engine.start(plain)
    unpaused, floor = Samples(), Samples()
    for _ in range(setting.times()):
        harbor.api("POST", f"/sandbox/{sandbox}/pause")
        reaches(harbor, sandbox, "paused")
        time.sleep(REST)
        started = time.perf_counter()
        harbor.api("POST", f"/sandbox/{sandbox}/start")
        unpaused.add((time.perf_counter() - started) * 1000)
        engine.call("POST", f"/containers/{plain}/pause")
        time.sleep(REST)
        started = time.perf_counter()
        engine.call("POST", f"/containers/{plain}/unpause")
        floor.add((time.perf_counter() - started) * 1000)
    engine.remove(plain)
    return unpaused, floor
