"""Create, find, stop, start, delete (contract, control plane §17)."""

import time
from urllib.parse import urlsplit

import pytest
from daytona import (
    DaytonaAuthenticationError,
    DaytonaConflictError,
    DaytonaError,
    DaytonaNotFoundError,
    DaytonaValidationError,
    Resources,
    Sandbox,
)


def wait_until_gone(daytona, sandbox_id):
    """Until a get answers NotFound; meanwhile nothing but its end may be seen."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        try:
            assert daytona.get(sandbox_id).state in ("destroying", "destroyed")
        except DaytonaNotFoundError:
            return
        time.sleep(0.05)
    raise AssertionError(f"{sandbox_id} is still there")


def test_created_without_arguments_it_is_started(create, shows):
    sandbox = create()
    shows(sandbox, lambda known: known.state, "started")
    assert sandbox.id and sandbox.name
    assert sandbox.labels == {"code-toolbox-language": "python"}
    assert sandbox.env == {}
    assert sandbox.public is False
    assert (sandbox.cpu > 0, sandbox.memory > 0, sandbox.disk > 0) == (True, True, True)
    assert sandbox.process.exec("echo ready").result == "ready\n"


def test_what_was_asked_for_is_kept(create, daytona, word):
    made = create(
        name=word,
        labels={"purpose": "sdk test", "größe": "ß"},
        env_vars={"GREETING": "Grüße, world", "EMPTY": ""},
        public=True,
        auto_stop_interval=7,
        auto_archive_interval=90,
        auto_delete_interval=120,
    )
    for sandbox in (made, daytona.get(made.id)):
        assert sandbox.name == word
        assert sandbox.labels == {"purpose": "sdk test", "größe": "ß", "code-toolbox-language": "python"}
        assert sandbox.env == {"GREETING": "Grüße, world", "EMPTY": ""}
        assert sandbox.public is True
        assert sandbox.auto_stop_interval == 7
        assert sandbox.auto_archive_interval == 90
        assert sandbox.auto_delete_interval == 120
    assert made.process.exec('printf "%s|%s" "$GREETING" "${EMPTY-unset}"').result == "Grüße, world|"


def test_intervals_are_set(create, shows):
    sandbox = create()
    assert (sandbox.auto_stop_interval, sandbox.auto_delete_interval) == (15, -1)
    sandbox.set_autostop_interval(30)
    sandbox.set_auto_delete_interval(60)
    shows(sandbox, lambda known: (known.auto_stop_interval, known.auto_delete_interval), (30, 60))
    with pytest.raises(DaytonaError):
        sandbox.set_autostop_interval(-1)


def test_sizes_are_changed(create):
    sandbox = create()
    cpu, memory, disk = sandbox.cpu, sandbox.memory, sandbox.disk
    sandbox.resize(Resources(cpu=cpu + 1, memory=memory + 1))
    assert (sandbox.state, sandbox.cpu, sandbox.memory) == ("started", cpu + 1, memory + 1)
    for wrong in (Resources(disk=disk + 1), Resources(memory=memory), Resources()):
        with pytest.raises(DaytonaError):
            sandbox.resize(wrong)
    sandbox.stop()
    sandbox.resize(Resources(cpu=cpu, disk=disk + 1))
    assert (sandbox.state, sandbox.cpu, sandbox.memory, sandbox.disk) == ("stopped", cpu, memory + 1, disk + 1)
    sandbox.start()
    assert sandbox.process.exec("echo works").result == "works\n"


if hasattr(Sandbox, "pause"):  # since 0.190

    def test_a_paused_sandbox_goes_on_where_it_was(create, shows):
        sandbox = create()
        sandbox.process.exec("sh -c 'while :; do date +%s%N >>ticks; sleep 0.05; done' >/dev/null 2>&1 & echo $! >loop")
        sandbox.pause()
        shows(sandbox, lambda known: known.state, "paused")
        with pytest.raises(DaytonaError):
            sandbox.process.exec("true", timeout=5)
        with pytest.raises(DaytonaError):
            sandbox.pause()
        sandbox.start()
        shows(sandbox, lambda known: known.state, "started")
        assert sandbox.process.exec('kill -0 "$(cat loop)" && echo alive').result == "alive\n"
        sandbox.pause()
        sandbox.stop()
        shows(sandbox, lambda known: known.state, "stopped")
        sandbox.start()
        # its number may be another's by now
        count = 'before=$(wc -l <ticks); sleep 0.5; [ "$before" = "$(wc -l <ticks)" ] && echo gone'
        assert sandbox.process.exec(count).result == "gone\n"


def test_a_name_is_taken_once(create, word):
    create(name=word)
    with pytest.raises(DaytonaConflictError) as error:
        create(name=word)
    assert error.value.status_code == 409


def test_an_unknown_snapshot_is_a_bad_request(create):
    with pytest.raises(DaytonaValidationError) as error:
        create(snapshot="no/such:snapshot")
    assert error.value.status_code == 400
    assert not isinstance(error.value, DaytonaNotFoundError)


@pytest.mark.parametrize("call", ["create", "get", "list"])
def test_a_wrong_key_is_an_authentication_error(connect, call):
    stranger = connect(api_key="dtn_0000000000000000000000000000000000000000000000000000000000000000")
    with pytest.raises(DaytonaAuthenticationError) as error:
        if call == "create":
            stranger.create()
        elif call == "get":
            stranger.get("anything")
        else:
            list(stranger.list())
    assert error.value.status_code == 401


def test_found_by_id_and_by_name(create, daytona, word):
    made = create(name=word)
    for found in (daytona.get(made.id), daytona.get(word)):
        assert (found.id, found.name, found.state) == (made.id, word, "started")
    assert daytona.get(word).process.exec("echo the same").result == "the same\n"


def test_nobody_is_found_by_an_unknown_name(daytona, word):
    for unknown in (word, "00000000-0000-4000-8000-000000000000"):
        with pytest.raises(DaytonaNotFoundError) as error:
            daytona.get(unknown)
        assert error.value.status_code == 404


def test_labels_are_replaced_not_merged(create, daytona):
    sandbox = create(labels={"old": "1", "kept": "2"})
    assert sandbox.set_labels({"kept": "3", "new": "4"}) == {"kept": "3", "new": "4"}
    assert sandbox.labels == {"kept": "3", "new": "4"}
    assert daytona.get(sandbox.id).labels == {"kept": "3", "new": "4"}


def test_files_outlive_a_stop_and_processes_do_not(create, shows):
    sandbox = create()
    sandbox.fs.upload_file(b"kept\n", "kept.txt")
    assert sandbox.process.exec("sleep 4321 >/dev/null 2>&1 &").exit_code == 0
    sandbox.stop()
    shows(sandbox, lambda known: known.state, "stopped")
    with pytest.raises(DaytonaError):
        sandbox.process.exec("echo must not run")
    sandbox.start()
    shows(sandbox, lambda known: known.state, "started")
    assert sandbox.fs.download_file("kept.txt") == b"kept\n"
    assert sandbox.process.exec("pgrep -fx 'sleep 4321'").exit_code == 1


def test_starting_again_changes_nothing(create, shows):
    sandbox = create()
    process = sandbox.process.exec("echo here >/tmp/mark; sleep 4322 >/dev/null 2>&1 & echo $!").result.strip()
    sandbox.start()
    shows(sandbox, lambda known: known.state, "started")
    assert sandbox.process.exec(f"cat /tmp/mark; kill -0 {process} && echo alive").result == "here\nalive\n"


def test_a_deleted_one_is_gone_and_its_name_is_free(create, daytona, word):
    sandbox = create(name=word)
    sandbox.delete()
    again = create(name=word)
    assert again.id != sandbox.id
    assert daytona.get(word).id == again.id
    wait_until_gone(daytona, sandbox.id)
    with pytest.raises(DaytonaNotFoundError):
        daytona.get(sandbox.id).delete()


def test_an_ephemeral_one_ends_with_its_stop(create, daytona):
    sandbox = create(ephemeral=True)
    assert sandbox.auto_delete_interval == 0
    sandbox.stop()
    wait_until_gone(daytona, sandbox.id)


def test_home_and_work_directory(sandbox, read):
    assert sandbox.get_user_home_dir() == "/home/daytona"
    assert sandbox.get_work_dir() == read("pwd").strip()


def test_a_preview_link_names_port_and_sandbox(sandbox):
    link = sandbox.get_preview_link(3000)
    address = urlsplit(link.url)
    assert address.scheme in ("http", "https")
    assert address.hostname.startswith(f"3000-{sandbox.id}.")
    assert link.token


def test_activity_can_be_reported(sandbox, daytona):
    before = daytona.get(sandbox.id).last_activity_at
    time.sleep(5.1)  # reports closer together may be taken as one (contract, control plane §5.8)
    sandbox.refresh_activity()
    deadline = time.monotonic() + 10  # and may be shown this late
    while daytona.get(sandbox.id).last_activity_at == before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert daytona.get(sandbox.id).last_activity_at > before
