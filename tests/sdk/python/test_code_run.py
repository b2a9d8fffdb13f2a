"""Programs in three languages, and their charts (contract, toolbox §7)."""

import base64
import json

import pytest
from daytona import CodeRunParams, CreateSandboxFromSnapshotParams


@pytest.fixture(scope="module", params=["javascript", "typescript"])
def scripted(request, daytona):
    """A sandbox whose label names JavaScript or TypeScript."""
    sandbox = daytona.create(CreateSandboxFromSnapshotParams(language=request.param))
    assert sandbox.labels["code-toolbox-language"] == request.param
    yield sandbox
    sandbox.delete()


class TestPython:
    def test_a_program_prints(self, sandbox):
        answer = sandbox.process.code_run("for n in range(3):\n    print(n, 'für')\n")
        assert (answer.exit_code, answer.result) == (0, "0 für\n1 für\n2 für\n")
        assert answer.artifacts.charts == []

    def test_standard_error_is_in_the_result(self, sandbox):
        answer = sandbox.process.code_run("import sys\nprint('one', flush=True)\nprint('two', file=sys.stderr)")
        assert (answer.exit_code, answer.result) == (0, "one\ntwo\n")

    def test_json_can_be_parsed(self, sandbox):
        answer = sandbox.process.code_run("import json\nprint(json.dumps({'a': [1, 2], 'b': None}))")
        assert json.loads(answer.result.strip()) == {"a": [1, 2], "b": None}

    @pytest.mark.parametrize(
        ("code", "status", "said"),
        [
            ("def broken(:\n    pass", 1, "SyntaxError"),
            ("print('before')\n1 / 0", 1, "ZeroDivisionError"),
            ("import sys\nsys.exit(7)", 7, ""),
            ("import no_such_module", 1, "ModuleNotFoundError"),
            ("input()", 1, "EOFError"),
        ],
    )
    def test_a_failure_is_an_exit_code(self, sandbox, code, status, said):
        answer = sandbox.process.code_run(code)
        assert answer.exit_code == status
        assert said in answer.result

    def test_arguments_and_environment(self, sandbox):
        arguments = ["one", "two words", "it's", '"$HOME" *', ""]
        answer = sandbox.process.code_run(
            "import os, sys, json\nprint(json.dumps([sys.argv[1:], os.environ['NAME']]))",
            CodeRunParams(argv=arguments, env={"NAME": "wert ß"}),
        )
        assert json.loads(answer.result) == [arguments, "wert ß"]

    def test_a_timeout_is_an_error_that_says_so(self, sandbox):
        # not translated by the SDK: an error of its generated client
        with pytest.raises(Exception, match="request timeout: command execution timeout"):
            sandbox.process.code_run("import time\ntime.sleep(30)", timeout=1)

    def test_the_work_directory_is_the_current_one(self, sandbox):
        answer = sandbox.process.code_run("import os\nprint(os.getcwd())")
        assert answer.result.strip() == sandbox.get_work_dir()


class TestScripts:
    """JavaScript and TypeScript."""

    def test_a_program_prints(self, scripted):
        answer = scripted.process.code_run("const text = ['a', 'ß'].join('-');\nconsole.log(text, 6 * 7);")
        assert (answer.exit_code, answer.result) == (0, "a-ß 42\n")

    def test_an_exception_is_an_exit_code(self, scripted):
        answer = scripted.process.code_run("throw new Error('on purpose');")
        assert answer.exit_code == 1
        assert "on purpose" in answer.result

    def test_an_exit_code_is_kept(self, scripted):
        assert scripted.process.code_run("process.exit(5);").exit_code == 5

    def test_arguments_and_environment(self, scripted):
        answer = scripted.process.code_run(
            "console.log(JSON.stringify([process.argv.slice(1), process.env.NAME]));",
            CodeRunParams(argv=["first", "two words"], env={"NAME": "wert"}),
        )
        assert json.loads(answer.result) == [["first", "two words"], "wert"]


def test_typescript_has_types(create):
    answer = create(language="typescript").process.code_run(
        "enum Size { Small = 1, Large }\ninterface Box { size: Size }\n"
        "const box: Box = { size: Size.Large };\nconsole.log(box.size as number);"
    )
    assert (answer.exit_code, answer.result) == (0, "2\n")


class TestCharts:
    def draw(self, sandbox, program):
        """The charts of a program that draws with `plt`, and whose figures are pictures."""
        answer = sandbox.process.code_run(f"import matplotlib.pyplot as plt\n{program}\nplt.show()\nprint('drawn')")
        assert (answer.exit_code, answer.result) == (0, "drawn\n")
        for chart in answer.artifacts.charts:
            assert base64.b64decode(chart.png)[:8] == b"\x89PNG\r\n\x1a\n"
        return answer.artifacts.charts

    def test_lines(self, sandbox):
        (chart,) = self.draw(
            sandbox,
            "plt.plot([1, 2, 3], [4.5, 5, 6], label='up')\nplt.plot([1, 2, 3], [3, 2, 1], label='down')\n"
            "plt.title('Two lines')\nplt.xlabel('time')\nplt.ylabel('value')",
        )
        assert (chart.type, chart.title, chart.x_label, chart.y_label) == ("line", "Two lines", "time", "value")
        assert (chart.x_scale, chart.y_scale) == ("linear", "linear")
        assert [(line.label, line.points) for line in chart.elements] == [
            ("up", [[1, 4.5], [2, 5], [3, 6]]),
            ("down", [[1, 3], [2, 2], [3, 1]]),
        ]
        assert all(isinstance(tick, (int, float)) for tick in chart.x_ticks)

    def test_scatter(self, sandbox):
        (chart,) = self.draw(sandbox, "plt.scatter([1, 2], [3, 4], label='dots')")
        assert chart.type == "scatter"
        assert [(dots.label, dots.points) for dots in chart.elements] == [("dots", [[1, 3], [2, 4]])]

    def test_bars_have_values(self, sandbox):
        (chart,) = self.draw(sandbox, "plt.bar(['a', 'b', 'c'], [1, 2.5, 3], label='group')")
        assert chart.type == "bar"
        assert [bar.label for bar in chart.elements] == ["a", "b", "c"]
        assert [float(bar.value) for bar in chart.elements] == [1, 2.5, 3]
        assert {bar.group for bar in chart.elements} == {"group"}

    def test_pie(self, sandbox):
        (chart,) = self.draw(sandbox, "plt.pie([1, 3], labels=['quarter', 'rest'])")
        assert chart.type == "pie"
        assert [slice.label for slice in chart.elements] == ["quarter", "rest"]
        assert [slice.angle for slice in chart.elements] == pytest.approx([90, 270])
        assert [slice.radius for slice in chart.elements] == [1, 1]

    def test_box_and_whisker(self, sandbox):
        (chart,) = self.draw(sandbox, "plt.boxplot([[1, 2, 3, 4, 5]], patch_artist=True)")
        assert chart.type == "box_and_whisker"
        (box,) = chart.elements
        assert (box.min, box.first_quartile, box.median, box.third_quartile, box.max) == (1, 2, 3, 4, 5)

    def test_composite(self, sandbox):
        (chart,) = self.draw(
            sandbox,
            "figure, (left, right) = plt.subplots(1, 2)\nfigure.suptitle('Both')\nleft.plot([1, 2], [3, 5])\n"
            "left.set_title('Left')\nright.bar(['x'], [1])\nright.set_title('Right')",
        )
        assert (chart.type, chart.title) == ("composite_chart", "Both")
        assert [(part.type, part.title) for part in chart.elements] == [("line", "Left"), ("bar", "Right")]

    @pytest.mark.newer_toolbox
    @pytest.mark.parametrize(
        "program",
        [
            "import numpy as np, matplotlib.pyplot as plt\nplt.plot(np.array([1, 2]), [3, 4])\nplt.show()",
            "import importlib\nplt = importlib.import_module('matplotlib.pyplot')\nplt.plot([1, 2], [3, 4])\nplt.show()",
            "import pandas, sys\npandas.DataFrame({'a': [3, 4]}, index=[1, 2]).plot()\n"
            "sys.modules['matplotlib.pyplot'].show()",
        ],
    )
    def test_however_the_library_is_loaded(self, sandbox, program):
        answer = sandbox.process.code_run(program)
        assert answer.exit_code == 0, answer.result
        (chart,) = answer.artifacts.charts
        assert [line.points for line in chart.elements] == [[[1, 3], [2, 4]]]

    @pytest.mark.newer_toolbox
    def test_a_figure_that_is_no_number_costs_no_chart(self, sandbox):
        (chart,) = self.draw(sandbox, "plt.plot([1, 2, 3], [1, float('nan'), 3])")
        assert [line.points for line in chart.elements] == [[[1, 1], [3, 3]]]
        groups = "[[1, float('nan')], [], [1, 2, 3, 4, 5]]"
        (chart,) = self.draw(sandbox, f"plt.boxplot({groups}, patch_artist=True)")
        assert chart.type == "box_and_whisker"
        box = chart.elements[-1]
        assert (box.min, box.first_quartile, box.median, box.third_quartile, box.max) == (1, 2, 3, 4, 5)

    def test_several_figures_are_several_charts(self, sandbox):
        charts = self.draw(sandbox, "plt.plot([1, 2], [1, 3])\nplt.figure()\nplt.scatter([1], [1])")
        assert [chart.type for chart in charts] == ["line", "scatter"]

    def test_an_error_after_the_chart_keeps_it(self, sandbox):
        answer = sandbox.process.code_run(
            "import matplotlib.pyplot as plt\nplt.plot([1, 2], [3, 4])\nplt.show()\nraise ValueError('after')"
        )
        assert answer.exit_code == 1
        assert "ValueError: after" in answer.result
        assert [chart.type for chart in answer.artifacts.charts] == ["line"]
