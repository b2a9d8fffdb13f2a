"""Python with a memory, streamed (contract, toolbox §9)."""

import threading
import time

import pytest
from daytona import DaytonaError, DaytonaNotFoundError, DaytonaTimeoutError

PATIENCE = 60  # seconds until something that must happen is given up on


@pytest.fixture
def context(sandbox):
    context = sandbox.code_interpreter.create_context()
    yield context
    if context.id in [listed.id for listed in sandbox.code_interpreter.list_contexts()]:
        sandbox.code_interpreter.delete_context(context)


@pytest.fixture
def run(sandbox, context):
    """Runs code in this test's context, without an error unless one is expected."""

    def run(code, **options):
        return sandbox.code_interpreter.run_code(code, context=context, **options)

    return run


class TestOutput:
    def test_both_streams(self, run):
        result = run("import sys\nprint('out', 'ß')\nprint('err', file=sys.stderr)\nprint('more', end='')")
        assert (result.stdout, result.stderr, result.error) == ("out ß\nmore", "err\n", None)

    def test_an_expression_is_not_printed(self, run):
        result = run("1 + 1")
        assert (result.stdout, result.stderr, result.error) == ("", "", None)

    def test_it_comes_piece_by_piece(self, sandbox, run, word):
        heard, release = [], threading.Event()

        def hear(message):
            heard.append(message.output)
            release.set()

        def let_go():
            assert release.wait(PATIENCE)
            sandbox.process.exec(f"touch /tmp/{word}")

        # the program ends only after its first line has arrived here
        helper = threading.Thread(target=let_go, daemon=True)
        helper.start()
        code = f"import os, time\nprint('one')\nwhile not os.path.exists('/tmp/{word}'): time.sleep(0.1)\nprint('two')"
        result = run(code, on_stdout=hear, timeout=PATIENCE)
        helper.join(PATIENCE)
        assert result.stdout == "".join(heard) == "one\ntwo\n"
        assert len(heard) > 1

    def test_every_stream_has_its_handler(self, run):
        out, err, errors = [], [], []
        result = run(
            "import sys\nprint('a')\nprint('b', file=sys.stderr)\nraise KeyError('c')",
            on_stdout=lambda message: out.append(message.output),
            on_stderr=lambda message: err.append(message.output),
            on_error=errors.append,
        )
        assert ("".join(out), "".join(err)) == ("a\n", "b\n") == (result.stdout, result.stderr)
        assert [(error.name, error.value) for error in errors] == [("KeyError", "'c'")]
        assert result.error == errors[0]

    def test_long_output_is_whole(self, run):
        result = run("print('x' * 2_000_000)\nfor n in range(20_000): print(n)")
        assert result.stdout == "x" * 2_000_000 + "\n" + "".join(f"{n}\n" for n in range(20_000))

    def test_what_a_child_prints_does_no_harm(self, run):
        result = run(
            "import os, subprocess\nsubprocess.run(['echo', 'child'])\nos.write(1, b'{\"raw\"')\nprint('mine')"
        )
        assert "mine\n" in result.stdout
        assert result.error is None
        assert run("print('next')").stdout == "next\n"


class TestErrors:
    def test_an_exception(self, run):
        result = run("print('before')\ndef fail():\n    raise ValueError('on purpose')\nfail()")
        assert result.stdout == "before\n"
        assert (result.error.name, result.error.value) == ("ValueError", "on purpose")
        assert result.error.traceback.startswith("Traceback (most recent call last):\n")
        assert "line 3" in result.error.traceback
        assert result.error.traceback.endswith("ValueError: on purpose\n")

    def test_a_syntax_error(self, run):
        result = run("def broken(:\n    pass")
        assert result.error.name == "SyntaxError"
        assert "line 1" in result.error.value
        assert run("print('alive')").stdout == "alive\n"

    def test_what_was_set_before_stays(self, run):
        assert run("kept = 5\n1 / 0").error.name == "ZeroDivisionError"
        assert run("print(kept)").stdout == "5\n"

    def test_an_exit_is_no_error(self, run):
        result = run("kept = 1\nimport sys\nprint('bye')\nsys.exit(3)")
        assert (result.stdout, result.error) == ("bye\n", None)
        assert run("print(kept)").stdout == "1\n"

    def test_a_timeout(self, run):
        run("kept = 7")
        started = time.monotonic()
        with pytest.raises(DaytonaTimeoutError):
            run("import time\nprint('begun')\ntime.sleep(600)", timeout=1)
        assert time.monotonic() - started < PATIENCE
        assert run("print(kept)").stdout == "7\n"

    def test_a_timeout_of_what_does_not_listen(self, run):
        code = "import time\nwhile True:\n    try: time.sleep(600)\n    except KeyboardInterrupt: pass"
        with pytest.raises(DaytonaTimeoutError):
            run(code, timeout=1)
        assert run("print('alive again')").stdout == "alive again\n"

    def test_in_time_is_no_timeout(self, run):
        assert run("import time\ntime.sleep(1.5)\nprint('done')", timeout=PATIENCE).stdout == "done\n"
        assert run("import time\ntime.sleep(0.5)\nprint('done')", timeout=0).stdout == "done\n"

    def test_a_dead_worker_is_told_and_replaced(self, run):
        with pytest.raises(DaytonaError):
            run("import os\nos._exit(1)")
        assert run("print('new')").stdout == "new\n"

    @pytest.mark.newer_toolbox
    def test_a_worker_that_reached_the_memory_limit_says_so(self, create):
        errors = []
        with pytest.raises(DaytonaError, match="reached its memory limit of [0-9]+ MiB"):
            create().code_interpreter.run_code(
                "held = []\nwhile True: held.append(bytearray(1 << 24))", on_error=errors.append, timeout=PATIENCE
            )
        assert [error.name for error in errors] == ["MemoryError"]


class TestContexts:
    def test_one_remembers(self, run):
        run("import math\nnumbers = [1, 2]\ndef double(n): return 2 * n")
        run("numbers.append(double(3))")
        assert run("print(numbers, math.floor(2.5), __name__)").stdout == "[1, 2, 6] 2 __main__\n"

    def test_the_default_one(self, sandbox, word):
        name = word.replace("-", "_")
        sandbox.code_interpreter.run_code(f"{name} = 'kept'")
        assert sandbox.code_interpreter.run_code(f"print({name})").stdout == "kept\n"
        result = sandbox.code_interpreter.run_code("import os\nprint(os.getcwd())")
        assert result.stdout.strip() == sandbox.get_work_dir()

    def test_they_do_not_see_each_other(self, sandbox, run):
        run("mine = 1")
        other = sandbox.code_interpreter.create_context()
        for options in ({}, {"context": other}):
            assert sandbox.code_interpreter.run_code("print(mine)", **options).error.name == "NameError"
        sandbox.code_interpreter.delete_context(other)
        assert run("print(mine)").stdout == "1\n"

    def test_a_directory_of_its_own(self, sandbox):
        context = sandbox.code_interpreter.create_context(cwd="/tmp")
        result = sandbox.code_interpreter.run_code("import os\nprint(os.getcwd())", context=context)
        sandbox.code_interpreter.delete_context(context)
        assert (context.cwd, result.stdout) == ("/tmp", "/tmp\n")
        with pytest.raises(DaytonaError):
            sandbox.code_interpreter.create_context(cwd="/no/such/place")

    def test_listed_until_deleted(self, sandbox, context):
        def listed():
            return {one.id: one for one in sandbox.code_interpreter.list_contexts()}

        assert listed()[context.id].language == context.language == "python"
        assert listed()[context.id].active
        assert "default" not in listed()
        sandbox.code_interpreter.delete_context(context)
        assert context.id not in listed()
        with pytest.raises(DaytonaError, match="context not found"):
            sandbox.code_interpreter.run_code("print(1)", context=context)
        with pytest.raises(DaytonaNotFoundError):
            sandbox.code_interpreter.delete_context(context)

    def test_they_run_beside_each_other(self, sandbox, run, word):
        other = sandbox.code_interpreter.create_context()
        wait = "import os, time\nopen('/tmp/{0}-{1}', 'w')\nwhile not os.path.exists('/tmp/{0}-{2}'): time.sleep(0.05)"
        answers = []
        helper = threading.Thread(target=lambda: answers.append(run(wait.format(word, 1, 2), timeout=PATIENCE)))
        helper.start()
        # each waits for the other to have begun
        answers.append(sandbox.code_interpreter.run_code(wait.format(word, 2, 1), context=other, timeout=PATIENCE))
        helper.join(PATIENCE)
        sandbox.code_interpreter.delete_context(other)
        assert [answer.error for answer in answers] == [None, None]


def test_an_environment_for_one_call(run):
    show = "import os\nprint(os.environ.get('NAME'), os.environ.get('HOME'))"
    assert run(show, envs={"NAME": "wert ß", "HOME": "/elsewhere"}).stdout == "wert ß /elsewhere\n"
    assert run(show).stdout == "None /home/daytona\n"
