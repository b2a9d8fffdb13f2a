"""Stops and starts of a sandbox that sleeps while it is stopped: until it is stopped, and until its first command has ended."""
import time

from copies import reaches
from report import Figure, Samples
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
    harbor.delete(sandbox)
    return [Figure("stop, with a process running", "ms", stops, None, 300),
            Figure("start of a sleeping one, and first command", "ms", starts, None, 25)]
