"""Clients with the event stream: a wait ends when it happens, not at the next poll (contract, control plane §15.4)."""

import json
import os
import threading
import time
import urllib.error
import urllib.request

LAG = 0.5  # seconds; a client that is not told looks again after a whole second
ROUNDS = 8


def state(sandbox_id):
    """The state as a plain HTTP client sees it; None when it is gone."""
    request = urllib.request.Request(
        f"{os.environ['DAYTONA_API_URL']}/sandbox/{sandbox_id}",
        headers={"Authorization": f"Bearer {os.environ['DAYTONA_API_KEY']}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)["state"]
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def lag(sandbox_id, wanted, action):
    """Seconds between the moment the server shows `wanted` and the return of the client's call."""
    shown = []

    def watch():
        while not shown:
            if state(sandbox_id) in wanted:
                shown.append(time.monotonic())
            time.sleep(0.01)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    action()
    returned = time.monotonic()
    watcher.join(30)
    assert shown, "the server never showed it"
    return returned - shown[0]


def check(lags):
    """All but one are short: a busy machine may stall once, a client that is not told stalls every other time."""
    assert sorted(lags)[-2] < LAG, lags


def test_a_delete_that_waits_ends_at_once(daytona):
    lags = []
    for _ in range(ROUNDS):
        sandbox = daytona.create()
        lags.append(lag(sandbox.id, (None, "destroyed"), lambda: sandbox.delete(wait=True)))
    check(lags)


def test_a_stop_ends_at_once(create):
    sandbox, lags = create(), []
    for _ in range(ROUNDS):
        lags.append(lag(sandbox.id, ("stopped",), sandbox.stop))
        sandbox.start()
    check(lags)


def test_a_state_changed_by_somebody_else_is_seen(create, daytona):
    sandbox = create()
    daytona.get(sandbox.id).stop()
    sandbox.wait_for_sandbox_stop(timeout=10)
    assert sandbox.state == "stopped"
