"""Who listens inside a sandbox (contract, toolbox §15). The SDKs' generated clients ask; no SDK has a method for it."""

import time

import pytest
from plain import Plain, plain

PATIENCE = 60  # seconds until a listener is seen, or seen no more


@pytest.fixture
def ports(sandbox):
    if isinstance(sandbox, Plain):
        from daytona_toolbox_api_client_async import PortApi

        return plain(PortApi(sandbox._inner._toolbox_api), sandbox._loop)
    from daytona_toolbox_api_client import PortApi

    return PortApi(sandbox._toolbox_api)


def until(look):
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize(("address", "port"), [("127.0.0.1", 4123), ("0.0.0.0", 4124), ("::1", 4125), ("::", 4126)])
def test_a_listener_is_seen_and_forgotten(sandbox, ports, address, port):
    assert port not in ports.get_ports().ports
    assert ports.is_port_in_use(port).is_in_use is False
    family = "AF_INET6" if ":" in address else "AF_INET"
    program = (
        "import socket, time\n"
        f"listener = socket.create_server(('{address}', {port}), family=socket.{family})\n"
        "time.sleep(600)"
    )
    sandbox.process.exec(f'nohup python3 -c "{program}" >/dev/null 2>&1 & echo $! >/tmp/listener')
    until(lambda: port in ports.get_ports().ports)
    assert ports.is_port_in_use(port).is_in_use is True
    sandbox.process.exec("kill $(cat /tmp/listener)")
    until(lambda: port not in ports.get_ports().ports)
    assert ports.is_port_in_use(port).is_in_use is False


def test_only_ports_of_applications_are_asked_about(ports):
    for port in (22, 2999, 10000):
        with pytest.raises(Exception, match="400|bad request"):
            ports.is_port_in_use(port)


def test_a_preview_link_for_every_port(sandbox):
    for port in (1, 3000, 65535):
        assert sandbox.get_preview_link(port).url.split("//")[1].startswith(f"{port}-{sandbox.id}.")
