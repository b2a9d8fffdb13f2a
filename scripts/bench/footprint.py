"""Starting, and what lies idle: time, memory and size of harbor, toolbox, infra and a whole sandbox."""
import os
import re
import signal
import subprocess
import time

import processes
from product import free_ports
from report import Figure, Samples
from setting import IMAGE, INFRA, TOOLBOX
from wire import Connection

MB = 1e6


def measure(setting):
    setting.keep_sandboxes(3)
    setting.harbor.wait_for_stock()
    return [start(setting), *idle_harbor(setting), *parts(setting), listening(setting), *sandbox(setting)]


def start(setting):
    """`harbor up` with sandboxes running. Floor: starting the program, and the questions to the engine that nobody can do without."""
    product, floor = Samples(), Samples()
    position = setting.harbor.log_position()
    for _ in range(setting.times()):
        setting.harbor.down()
        started = time.perf_counter()
        subprocess.run([setting.binary, "--version"], capture_output=True, check=True, timeout=10)
        for question in ("/version", "/info", "/containers/json?all=1", f"/images/{IMAGE}/json"):
            setting.engine.call("GET", question)
        floor.add((time.perf_counter() - started) * 1000)
        product.add(setting.harbor.up() * 1000)
    setting.details["up"] = stages(setting.harbor.log_since(position))
    setting.notes.append("harbor up: " + ", ".join(f"{name} {value:.0f} ms" for name, value in setting.details["up"].items()))
    return Figure("harbor up to ready, second start", "ms", product, floor, 300)


def stages(events):
    """Median time between one logged event of a start and the next."""
    last, spent = None, {}
    for event in events:
        moment = timestamp(event["time"])
        if event["message"] == "starting":
            last = None
        if last is not None:
            spent.setdefault(f"{last[0]} → {event['message']}", Samples()).add((moment - last[1]) * 1000)
        last = (event["message"], moment) if event["message"] != "ready" else None
        if event["message"] == "asked to stop":
            last = None
    return {name: samples.median for name, samples in spent.items() if "stop" not in name}


def timestamp(text):
    clock = re.match(r".*T(\d\d):(\d\d):([\d.]+)Z", text)
    return int(clock[1]) * 3600 + int(clock[2]) * 60 + float(clock[3])


def idle_harbor(setting):
    """Resident memory and processor time, with three sandboxes running and nobody asking."""
    seconds = 30 if not setting.quick else 5
    pid = setting.harbor.pid
    before = processes.cpu_seconds(pid)
    time.sleep(seconds)
    cpu = (processes.cpu_seconds(pid) - before) / seconds * 100
    memory = processes.status(pid, "VmRSS") / MB
    setting.details["harbor_anonymous_mb"] = processes.status(pid, "RssAnon") / MB
    note = f"after {seconds} s idle, 3 sandboxes running"
    return [Figure("harbor idle, resident", "MB", Samples([memory]), target=60, note=note),
            Figure("harbor idle, processor", "%", Samples([cpu]), target=1, note=note)]


def parts(setting):
    """Size and resident memory of what runs in and beside each sandbox."""
    figures = []
    for name, role, path, size, resident in (("toolbox", "sandbox", TOOLBOX, 4, 5), ("infra", "infra", INFRA, 2.5, 3)):
        figures.append(Figure(f"{name} size", "MB", Samples([setting.delivered(path).stat().st_size / MB]), target=size))
        memory = Samples([processes.status(process(setting, sandbox, role), "VmRSS") / MB for sandbox in setting.sandboxes])
        figures.append(Figure(f"{name} idle, resident", "MB", memory, target=resident))
    return figures


def process(setting, sandbox, role):
    return setting.engine.inspect(setting.harbor.containers(sandbox)[role])["State"]["Pid"]


def listening(setting):
    """From starting the toolbox to its word that it listens. Floor: the same binary until it complains about its arguments."""
    binary, product, floor = str(setting.delivered(TOOLBOX)), Samples(), Samples()
    for _ in range(setting.times(200, 40)):
        floor.add(until_first_word(binary, ["--bogus"], 2)[0])
        port = free_ports(1)[0]
        milliseconds, pid = until_first_word(binary, ["--listen", f"127.0.0.1:{port}"], 1, keep=True)
        product.add(milliseconds)
        try:
            Connection(("127.0.0.1", port), 5).request("GET", "/version")  # it really does
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    return Figure("toolbox listening after exec", "ms", product, floor, 2)


def until_first_word(binary, arguments, stream, keep=False):
    """Milliseconds until it writes to that stream, and its process id."""
    reader, writer = os.pipe()
    actions = [(os.POSIX_SPAWN_DUP2, writer, stream)]
    started = time.perf_counter()
    pid = os.posix_spawn(binary, [binary, *arguments], {}, file_actions=actions)
    os.close(writer)
    word = os.read(reader, 200)
    milliseconds = (time.perf_counter() - started) * 1000
    os.close(reader)
    if not keep:
        os.waitpid(pid, 0)
    if not word:
        raise RuntimeError(f"{binary} {arguments} said nothing")
    return milliseconds, pid


def sandbox(setting):
    """All memory of a started idle sandbox: its processes, the infra container, both shims. Floor: a plain container of
    the same image with the same entrypoint, and its shim."""
    product, floor = Samples(), Samples()
    try:
        for sandbox in setting.sandboxes:
            container = setting.engine.create(IMAGE, {"NetworkMode": "bridge"})
            setting.engine.start(container)
            time.sleep(0.2)
            plain = setting.engine.inspect(container)["State"]["Pid"]
            floor.add(processes.proportional(processes.with_shim(plain)) / MB)
            pids = [pid for role in ("sandbox", "infra") for pid in processes.with_shim(process(setting, sandbox, role))]
            product.add(processes.proportional(pids) / MB)
            setting.engine.remove(container)
    except PermissionError:
        setting.notes.append("idle sandbox all told: not measured, since only root may read the memory of others' processes")
        return []
    return [Figure("idle sandbox all told (PSS)", "MB", product, floor, 20)]
