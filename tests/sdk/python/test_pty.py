"""Terminals (contract, toolbox §10)."""

import re
import threading
import time
from concurrent.futures import Future

import pytest
from daytona import DaytonaConflictError, DaytonaError, DaytonaNotFoundError
from daytona.common.pty import PtySize
from plain import Plain

PATIENCE = 60  # seconds until something that must happen is given up on
SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[()][A-Z0-9]|\x1b[=>]|\x1b\][^\x07]*\x07")


# The synchronous client gives up where its own thread has read nothing after 100 ms, with no words of why. The terminal
# is there by then.
GAVE_UP = re.compile("Failed to (create|connect) PTY session: $")


def connect_patiently(process, session):
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return process.connect_pty_session(session)
        except DaytonaError as error:
            if not GAVE_UP.search(str(error)) or time.monotonic() > deadline:
                raise


class Terminal:
    """One connection to a terminal and all that came through it.

    The asynchronous client takes the handler of the output when it connects, the synchronous one when it waits.
    """

    def __init__(self, process, method, *arguments, **named):
        self._output, self._more = b"", threading.Condition()
        asynchronous = isinstance(process, Plain)
        if asynchronous:
            named["on_data"] = self._hear
        try:
            self.handle = getattr(process, method)(*arguments, **named)
        except DaytonaError as error:
            if asynchronous or not GAVE_UP.search(str(error)):
                raise
            self.handle = connect_patiently(process, arguments[0])
        self._result = Future()
        threading.Thread(target=self._wait, args=[] if asynchronous else [self._hear], daemon=True).start()

    def _wait(self, *handlers):
        try:
            self._result.set_result(self.handle.wait(*handlers))
        except BaseException as error:
            self._result.set_exception(error)

    def _hear(self, data):
        with self._more:
            self._output += data
            self._more.notify_all()

    @property
    def text(self):
        """What was printed, without what only moves the cursor or colours."""
        return SEQUENCE.sub("", self._output.decode(errors="replace"))

    def until(self, text):
        with self._more:
            assert self._more.wait_for(lambda: text in self.text, PATIENCE), self.text
        return self

    def type(self, line):
        self.handle.send_input(line + "\n")
        return self

    def result(self):
        """How it ended."""
        return self._result.result(PATIENCE)

    def close(self):
        self.handle.disconnect()


@pytest.fixture
def connect_to(sandbox):
    """Connects to a terminal that is there."""
    opened = []

    def connect_to(session):
        opened.append(Terminal(sandbox.process, "connect_pty_session", session))
        return opened[-1]

    yield connect_to
    for terminal in opened:
        terminal.close()


@pytest.fixture
def terminals(sandbox):
    """Makes terminals that are gone after the test."""
    opened = []

    def make(session, **options):
        opened.append(Terminal(sandbox.process, "create_pty_session", session, **options))
        return opened[-1]

    yield make
    for terminal in opened:
        terminal.close()
        try:
            sandbox.process.kill_pty_session(terminal.handle.session_id)
        except DaytonaNotFoundError:
            pass


@pytest.fixture
def terminal(terminals, word):
    return terminals(word)


@pytest.fixture
def running(sandbox):
    """Waits until that many processes have this command line."""

    def running(count, pattern):
        deadline = time.monotonic() + PATIENCE
        while (seen := sandbox.process.exec(f"pgrep -cfx '{pattern}'").result) != f"{count}\n":
            assert time.monotonic() < deadline, seen
            time.sleep(0.05)

    return running


def test_a_line_is_run_and_answered(terminal):
    terminal.type("echo $((6 * 7))-answer").until("42-answer\r\n")
    assert terminal.handle.is_connected()
    assert terminal.handle.exit_code is None


@pytest.mark.parametrize(("line", "code"), [("exit", 0), ("exit 7", 7), ("kill -9 $$", 137)])
def test_the_end_has_an_exit_code(sandbox, terminal, line, code):
    terminal.type("echo $((1 + 1))-ready").until("2-ready").type(line)
    assert terminal.result().exit_code == code
    assert terminal.handle.exit_code == code
    assert not terminal.handle.is_connected()
    with pytest.raises(DaytonaNotFoundError):
        sandbox.process.get_pty_session_info(terminal.handle.session_id)


def test_the_last_words_are_heard(terminal):
    terminal.type("seq 1 20000; echo last $((1 + 1)) words; exit 3")
    assert terminal.result().exit_code == 3
    assert "\r\n19999\r\n20000\r\nlast 2 words\r\n" in terminal.text


@pytest.mark.newer_toolbox
def test_the_last_words_tell_of_the_memory_limit(create, word):
    terminal = Terminal(create().process, "create_pty_session", word)
    terminal.type("exec python3 -c 'held = []\nwhile True: held.append(bytearray(1 << 24))'")
    assert terminal.result().exit_code == 137
    assert re.search("harbor: the sandbox reached its memory limit of [0-9]+ MiB", terminal.text), terminal.text


def test_size_directory_and_environment(sandbox, terminals, folder, word):
    environment = {"WORD": "wert ß $HOME", "TERM": "vt100"}
    terminal = terminals(word, cwd=folder, envs=environment, pty_size=PtySize(rows=31, cols=117))
    terminal.type("stty size; pwd; echo \"=$WORD=$TERM=\"; tty")
    terminal.until("31 117\r\n").until(f"{sandbox.get_work_dir()}/{folder}\r\n").until("=wert ß $HOME=vt100=\r\n")
    terminal.until("/dev/pts/")
    info = sandbox.process.get_pty_session_info(word)
    assert (info.id, info.rows, info.cols, info.active) == (word, 31, 117, True)
    assert info.cwd.endswith(folder)
    assert {name: info.envs[name] for name in environment} == environment


def test_what_one_gets_unasked(sandbox, terminal):
    terminal.type("stty size; echo $TERM; pwd").until("24 80\r\n").until("xterm-256color\r\n")
    terminal.until(f"{sandbox.get_work_dir()}\r\n")


def test_resized_while_a_program_runs(sandbox, terminal):
    terminal.type("trap 'echo \"now $(stty size </dev/tty)\"' WINCH; echo $((1 + 1))-set").until("2-set\r\n")
    info = terminal.handle.resize(PtySize(rows=40, cols=150))
    assert (info.rows, info.cols) == (40, 150)
    terminal.type("true").until("now 40 150\r\n")
    info = sandbox.process.resize_pty_session(terminal.handle.session_id, PtySize(rows=12, cols=34))
    assert (info.rows, info.cols) == (12, 34)
    terminal.type("stty size").until("12 34\r\n")
    with pytest.raises(DaytonaError):
        terminal.handle.resize(PtySize(rows=5000, cols=5000))


def test_control_characters_are_signals(terminal, running):
    terminal.type("sleep 4569")
    running(1, "sleep 4569")
    terminal.handle.send_input("\x03")
    # once its prompt is there the shell reads key by key; before, the end of input would be a byte like any other
    terminal.type('PS1="$((2 + 2))-after "').until("4-after ")
    terminal.handle.send_input(b"\x04")  # end of input: the shell goes
    assert terminal.result().exit_code is not None


def test_a_full_screen_program(terminal):
    terminal.type("python3 -q").until(">>> ")
    terminal.type("import sys; print(sys.stdin.isatty(), 6 * 7)").until("True 42\r\n").type("exit(4)")
    terminal.type("echo status $?").until("status 4\r\n")


def test_several_watch_and_type(terminal, connect_to):
    terminal.type("echo $((1 + 1))-ready").until("2-ready\r\n")
    other = connect_to(terminal.handle.session_id)
    terminal.type("echo $((3 + 4))-first")
    other.until("7-first\r\n").type("echo $((4 + 4))-second")
    for each in (terminal, other):
        each.until("8-second\r\n")
    terminal.type("exit 6")
    assert [each.result().exit_code for each in (terminal, other)] == [6, 6]


def test_it_stays_when_nobody_watches(sandbox, terminal, connect_to, word):
    terminal.type("marker=kept; echo $((1 + 1))-ready").until("2-ready\r\n")
    terminal.close()
    assert word in [listed.id for listed in sandbox.process.list_pty_sessions()]
    connect_to(word).type('echo "still $marker"').until("still kept\r\n")


def test_killed(sandbox, terminal, running, word):
    terminal.type("sleep 4570 & sleep 4571")
    running(2, "sleep 457[01]")
    terminal.handle.kill()
    assert terminal.result().exit_code == 137
    assert word not in [listed.id for listed in sandbox.process.list_pty_sessions()]
    running(0, "sleep 457[01]")
    with pytest.raises(DaytonaNotFoundError):
        sandbox.process.kill_pty_session(word)


def test_an_id_is_taken_once_and_free_afterwards(sandbox, terminal, terminals, word):
    with pytest.raises(DaytonaConflictError):
        terminals(word)
    sandbox.process.kill_pty_session(word)
    terminals(word).type("echo $((1 + 1))-again").until("2-again\r\n")


def test_nobody_connects_to_what_is_not_there(sandbox, connect_to, word):
    with pytest.raises(DaytonaError):
        connect_to(word)


def test_a_directory_that_is_not_there(sandbox, terminals, word):
    with pytest.raises(DaytonaError):
        terminals(word, cwd="/no/such/place")
