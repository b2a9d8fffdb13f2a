"""Environments of one's own: snapshots and sandboxes of images and Dockerfiles (contract, control plane §6, §17.3, §17.5)."""

import pytest
from daytona import (
    CreateSandboxFromImageParams,
    CreateSandboxFromSnapshotParams,
    DaytonaError,
    DaytonaNotFoundError,
    Image,
)

BASE = "daytonaio/sandbox:v0.185.0-amd64"


def image(word):
    """An image that nobody has built before."""
    return (
        Image.base(BASE)
        .pip_install("six==1.17.0")
        .env({"GREETING": "hello"})
        .run_commands(f"echo made-{word} | tee /home/daytona/made")
        .workdir("/home/daytona/work")
    )


def check(sandbox, word):
    command = "python -c 'import six; print(six.__version__)'; cat ~/made; echo $GREETING; pwd"
    answer = sandbox.process.exec(command)
    assert answer.result.split() == ["1.17.0", f"made-{word}", "hello", "/home/daytona/work"], answer.result


def test_a_sandbox_of_a_declarative_image(create_of, word):
    lines = []
    sandbox = create_of(image(word), on_snapshot_create_logs=lines.append)
    assert any(f"made-{word}" in line for line in lines), lines
    assert (sandbox.state, sandbox.cpu, sandbox.memory, sandbox.disk) == ("started", 1, 1, 3)
    check(sandbox, word)
    # the same image again is there
    check(create_of(image(word)), word)


def test_a_sandbox_of_an_image_by_its_name(create_of):
    sandbox = create_of(BASE)
    assert sandbox.process.exec("whoami").result == "daytona\n"


def test_a_snapshot_of_a_declarative_image(daytona, snapshot, create, word):
    lines = []
    name = f"{word}/built:1"
    made = snapshot(name, image(word), on_logs=lines.append)
    assert (made.name, made.state, made.cpu, made.mem) == (name, "active", 1, 1)
    assert any(f"made-{word}" in line for line in lines), lines
    assert daytona.snapshot.get(name).id == made.id
    check(create(snapshot=name), word)
    daytona.snapshot.delete(made)
    with pytest.raises(DaytonaNotFoundError):
        daytona.snapshot.get(name)


def test_a_snapshot_of_an_image_by_its_name(daytona, snapshot, create, word):
    made = snapshot(word, BASE)
    assert (made.image_name, made.state) == (BASE, "active")
    assert create(snapshot=word).process.exec("echo here").result == "here\n"
    with pytest.raises(DaytonaError, match="already exists"):
        snapshot(word, BASE)


def test_a_build_that_fails_says_where(daytona, snapshot, word, made):
    broken = Image.base(BASE).run_commands(f"echo {word} && exit 7")
    lines = []
    with pytest.raises(DaytonaError, match="non-zero code: 7"):
        snapshot(word, broken, on_logs=lines.append)
    assert any(word in line for line in lines), lines
    assert daytona.snapshot.get(word).state == "build_failed"
    with pytest.raises(DaytonaError, match="build_failed"):
        daytona.create(CreateSandboxFromSnapshotParams(snapshot=word))
    parameters = CreateSandboxFromImageParams(name=word, image=broken)
    # the newest client, which an event may tell first, does not read the reason
    with pytest.raises(DaytonaError, match="(?i)build_failed"):
        daytona.create(parameters, timeout=300)
    failed = daytona.get(word)
    made.append(failed)
    assert failed.state == "build_failed"
    assert "non-zero code: 7" in failed.error_reason


def test_an_image_that_nobody_has(daytona, snapshot, word):
    with pytest.raises(DaytonaError, match="could not pull image"):
        snapshot(word, "127.0.0.1:1/nothing/here:1.0")
    with pytest.raises(DaytonaError, match="tag"):
        snapshot(f"{word}-untagged", "debian")
