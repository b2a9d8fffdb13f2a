"""Commands (contract, toolbox §6 and §20.3)."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from daytona import DaytonaError


def test_output_and_exit_code(sandbox):
    answer = sandbox.process.exec("echo out; echo err >&2; exit 42")
    assert answer.exit_code == 42
    assert answer.result == "out\nerr\n"
    assert answer.artifacts.stdout == answer.result
    assert answer.artifacts.charts == []


def test_a_failing_command_is_no_exception(sandbox):
    answer = sandbox.process.exec("ls /no/such/place")
    assert answer.exit_code == 2
    assert "/no/such/place" in answer.result


def test_working_directory(sandbox, folder, read):
    assert read("pwd", cwd="/tmp") == "/tmp\n"
    assert read("pwd", cwd=folder) == f"{sandbox.get_work_dir()}/{folder}\n"
    assert read("pwd").strip() == sandbox.get_work_dir()
    missing = sandbox.process.exec("pwd", cwd="/no/such/place")
    assert missing.exit_code == -1


def test_environment(read):
    assert read("echo $ONE-$TWO", env={"ONE": "1", "TWO": "zwei und $HOME"}) == "1-zwei und $HOME\n"
    assert read('echo "[$ONE]"') == "[]\n"


@pytest.mark.parametrize("text", ["äöü ß", "日本語", "🙂 emoji", "tab\tquote ' \" \\ %s", "line one\nline two"])
def test_any_text_comes_back(read, text):
    assert read("cat <<'END'\n" + text + "\nEND") == text + "\n"
    assert read('printf %s "$TEXT"', env={"TEXT": text}) == text


def test_long_output_is_whole(read):
    text = read("head -c 1048576 /dev/zero | tr '\\0' x; echo END")
    assert text == "x" * 1048576 + "END\n"


def test_a_long_command_is_taken(read):
    text = "y" * 300_000
    assert read(f"printf %s '{text}' | wc -c").strip() == "300000"


def test_a_here_document_feeds_a_program(read):
    program = "import time\ntime.sleep(1)\nprint('from here', 6 * 7)"
    assert read(f"python - <<'END'\n{program}\nEND", timeout=10) == "from here 42\n"


def test_a_timeout_is_an_error_that_says_so(sandbox, word):
    with pytest.raises(DaytonaError, match="timeout"):
        sandbox.process.exec(f"touch /tmp/{word}; sleep 1800; touch /tmp/{word}.late", timeout=1)
    assert sandbox.process.exec("pgrep -fx 'sleep 1800'").exit_code == 1
    assert sandbox.process.exec(f"ls /tmp/{word}*").result == f"/tmp/{word}\n"


def test_in_time_is_no_timeout(read):
    assert read("sleep 1; echo done", timeout=10) == "done\n"


def test_a_background_process_returns_and_lives_on(sandbox, read, word):
    signal = f"/tmp/{word}.go"
    read(f"(until [ -e {signal} ]; do sleep 0.1; done; echo later >/tmp/{word}) >/dev/null 2>&1 &")
    assert sandbox.process.exec(f"cat /tmp/{word}").exit_code == 1
    read(f"touch {signal}; until grep -q . /tmp/{word}; do sleep 0.1; done", timeout=60)
    assert read(f"cat /tmp/{word}") == "later\n"


def test_many_at_once(sandbox):
    def run(number):
        answer = sandbox.process.exec(f"date +%s%N; sleep 4; date +%s%N; echo {number}")
        return [int(line) for line in answer.result.splitlines()]

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(run, range(12)))
    starts, ends, numbers = zip(*answers)
    assert numbers == tuple(range(12))
    assert max(starts) < min(ends)  # there was a moment in which all of them ran


def test_sudo_works(read):
    assert read("id -un; sudo id -un") == "daytona\nroot\n"


def test_memory_can_be_read(read):
    assert int(read("awk '/^MemTotal:/ { print $2 }' /proc/meminfo")) > 100_000
