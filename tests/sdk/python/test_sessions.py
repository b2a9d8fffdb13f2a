"""Shells that stay, their commands, logs and input (contract, toolbox §8 and §20.4)."""

import asyncio
import threading
import time

import pytest
from daytona import DaytonaConflictError, DaytonaError, DaytonaNotFoundError, SessionExecuteRequest

PATIENCE = 60  # seconds until something that must happen is given up on


@pytest.fixture
def session(sandbox, word):
    sandbox.process.create_session(word)
    yield word
    if word in [session.session_id for session in sandbox.process.list_sessions()]:
        sandbox.process.delete_session(word)


@pytest.fixture
def run(sandbox, session):
    """Runs a command to its end."""

    def run(command):
        return sandbox.process.execute_session_command(session, SessionExecuteRequest(command=command))

    return run


@pytest.fixture
def start(sandbox, session):
    """Starts a command, gives its id."""

    def start(command, **options):
        request = SessionExecuteRequest(command=command, run_async=True, **options)
        answer = sandbox.process.execute_session_command(session, request)
        assert answer.exit_code is None
        return answer.cmd_id

    return start


@pytest.fixture
def ended(sandbox, session):
    """Waits for a command's end, gives its exit code."""

    def ended(command_id):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            code = sandbox.process.get_session_command(session, command_id).exit_code
            if code is not None:
                return code
            time.sleep(0.05)
        raise AssertionError("the command did not end")

    return ended


@pytest.fixture
def follow(sandbox, session):
    """Follows a command's logs to their end, gives what came on both streams."""

    def follow(command_id, seen=lambda: None):
        streams = ([], [])

        def handler(stream):
            def handle(chunk):
                stream.append(chunk)
                seen()

            return handle

        call = sandbox.process.get_session_command_logs_async(session, command_id, *map(handler, streams))
        if asyncio.iscoroutine(call):  # also the synchronous client has it as a coroutine
            asyncio.run(call)
        return tuple("".join(stream) for stream in streams)

    return follow


class TestCommands:
    def test_output_and_exit_code(self, run):
        answer = run("echo out; echo err >&2; echo more; (exit 42)")
        assert (answer.exit_code, answer.stdout, answer.stderr) == (42, "out\nmore\n", "err\n")
        assert answer.cmd_id

    def test_the_shell_remembers(self, run, read):
        run("cd /tmp; export WORD='two words'; say() { echo \"said $1\"; }")
        answer = run('pwd; echo "$WORD"; say it')
        assert (answer.exit_code, answer.stdout) == (0, "/tmp\ntwo words\nsaid it\n")
        assert read('echo "[$WORD]"') == "[]\n"

    def test_it_begins_in_the_work_directory(self, sandbox, run):
        assert run("pwd").stdout.strip() == sandbox.get_work_dir()

    def test_sessions_do_not_see_each_other(self, sandbox, run, word):
        sandbox.process.create_session(f"{word}-other")
        run("export MINE=1")
        answer = sandbox.process.execute_session_command(
            f"{word}-other", SessionExecuteRequest(command='echo "[$MINE]"')
        )
        sandbox.process.delete_session(f"{word}-other")
        assert answer.stdout == "[]\n"

    def test_any_text_comes_back(self, run):
        for text in ("äöü ß 日本語 🙂", "tab\tquote ' \" \\ %s", "line one\n\nline three"):
            answer = run("cat <<'END'\n" + text + "\nEND")
            assert (answer.stdout, answer.stderr) == (text + "\n", "")

    def test_long_output_is_whole(self, run):
        answer = run("head -c 300000 /dev/zero | tr '\\0' x; echo; seq 1 20000 >&2")
        assert answer.stdout == "x" * 300_000 + "\n"
        assert answer.stderr == "".join(f"{number}\n" for number in range(1, 20_001))

    def test_what_is_recorded(self, sandbox, session, run):
        first, second = run("echo one"), run("exit_with() { return $1; }; exit_with 3")
        recorded = sandbox.process.get_session(session)
        assert recorded.session_id == session
        assert [(command.id, command.exit_code) for command in recorded.commands] == [
            (first.cmd_id, 0),
            (second.cmd_id, 3),
        ]
        command = sandbox.process.get_session_command(session, first.cmd_id)
        assert (command.id, command.command, command.exit_code) == (first.cmd_id, "echo one", 0)
        logs = sandbox.process.get_session_command_logs(session, first.cmd_id)
        assert (logs.stdout, logs.stderr) == ("one\n", "")
        assert "one" in logs.output

    def test_one_after_another(self, start, run, word):
        start(f"sleep 1; echo first >>/tmp/{word}")
        assert run(f"echo second >>/tmp/{word}; cat /tmp/{word}").stdout == "first\nsecond\n"

    def test_an_exit_ends_the_session(self, sandbox, session, run, start):
        assert run("exit 5").exit_code == 5
        with pytest.raises(DaytonaError) as error:
            start("echo never")
        assert error.value.status_code == 410


class TestRegistry:
    def test_listed_until_deleted(self, sandbox, session):
        def listed():
            return [found.session_id for found in sandbox.process.list_sessions()]

        assert session in listed()
        assert sandbox.process.get_session(session).commands == []
        sandbox.process.delete_session(session)
        assert session not in listed()
        for call in (sandbox.process.get_session, sandbox.process.delete_session):
            with pytest.raises(DaytonaNotFoundError) as error:
                call(session)
            assert error.value.status_code == 404

    def test_an_id_is_taken_once(self, sandbox, session):
        with pytest.raises(DaytonaConflictError):
            sandbox.process.create_session(session)

    def test_what_is_not_there(self, sandbox, session, word):
        with pytest.raises(DaytonaNotFoundError):
            sandbox.process.execute_session_command(f"{word}-none", SessionExecuteRequest(command="true"))
        with pytest.raises(DaytonaNotFoundError):
            sandbox.process.get_session_command(session, "no-such-command")
        with pytest.raises(DaytonaNotFoundError):
            sandbox.process.get_session_command_logs(session, "no-such-command")
        with pytest.raises(DaytonaNotFoundError):
            sandbox.process.send_session_command_input(session, "no-such-command", "x")

    def test_deleting_ends_what_runs(self, sandbox, session, start):
        start("setsid sleep 4568 & sleep 4567")
        deadline = time.monotonic() + PATIENCE
        while sandbox.process.exec("pgrep -cfx 'sleep 456[78]'").result != "2\n":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        sandbox.process.delete_session(session)
        assert sandbox.process.exec("pgrep -cfx 'sleep 456[78]'").result == "0\n"

    def test_the_entrypoint_has_one(self, sandbox):
        entrypoint = sandbox.process.get_entrypoint_session()
        assert entrypoint.session_id == "entrypoint"
        assert [command.id for command in entrypoint.commands] == ["entrypoint_command"]
        assert entrypoint.commands[0].exit_code is None
        assert isinstance(sandbox.process.get_entrypoint_logs().output, str)
        assert "entrypoint" not in [listed.session_id for listed in sandbox.process.list_sessions()]


class TestBackground:
    def test_the_exit_code_comes_with_the_end(self, sandbox, session, start, ended, read, word):
        command = start(f"echo begun; while [ ! -e /tmp/{word} ]; do sleep 0.1; done; echo over; (exit 9)")
        assert sandbox.process.get_session_command(session, command).exit_code is None
        deadline = time.monotonic() + PATIENCE
        while sandbox.process.get_session_command_logs(session, command).stdout != "begun\n":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        read(f"touch /tmp/{word}")
        assert ended(command) == 9
        assert sandbox.process.get_session_command_logs(session, command).stdout == "begun\nover\n"

    def test_logs_are_followed_as_they_come(self, sandbox, start, follow, word):
        release = threading.Event()

        def let_go():
            assert release.wait(PATIENCE)
            sandbox.process.exec(f"touch /tmp/{word}")

        # the command ends only after its first line has arrived here
        helper = threading.Thread(target=let_go, daemon=True)
        helper.start()
        command = start(f"echo one; while [ ! -e /tmp/{word} ]; do sleep 0.1; done; echo two >&2; echo three")
        assert follow(command, release.set) == ("one\nthree\n", "two\n")
        helper.join(PATIENCE)

    def test_streams_are_told_apart(self, start, follow, ended):
        command = start("for n in $(seq 1 2000); do echo out $n; echo err $n >&2; done; printf 'äöü 🙂'")
        live = follow(command)
        assert ended(command) == 0
        expected = tuple("".join(f"{name} {n}\n" for n in range(1, 2001)) for name in ("out", "err"))
        expected = (expected[0] + "äöü 🙂\n", expected[1])
        assert live == expected
        assert follow(command) == expected  # also when it is over

    def test_several_follow(self, start, follow):
        command = start("for n in 1 2 3; do echo $n; sleep 0.2; done")
        other = []
        helper = threading.Thread(target=lambda: other.append(follow(command)))
        helper.start()
        assert follow(command) == ("1\n2\n3\n", "")
        helper.join(PATIENCE)
        assert other == [("1\n2\n3\n", "")]

    def test_input_reaches_the_command(self, sandbox, session, start, follow, ended):
        command = start("read name; echo \"hello $name\"; read more; echo \"and $more\"")
        sandbox.process.send_session_command_input(session, command, "Wörld")
        sandbox.process.send_session_command_input(session, command, "two words\n")
        assert ended(command) == 0
        stdout, stderr = follow(command)
        assert "hello Wörld\n" in stdout and "and two words\n" in stdout
        assert sorted(stdout.splitlines()) == ["Wörld", "and two words", "hello Wörld", "two words"]
        assert stderr == ""

    def test_input_without_echo(self, sandbox, session, start, follow):
        command = start('read secret; echo "${#secret} letters"', suppress_input_echo=True)
        sandbox.process.send_session_command_input(session, command, "password")
        assert follow(command) == ("8 letters\n", "")

    def test_input_comes_too_late(self, sandbox, session, start, ended):
        command = start("true")
        ended(command)
        with pytest.raises(DaytonaError) as error:
            sandbox.process.send_session_command_input(session, command, "x")
        assert error.value.status_code == 410
