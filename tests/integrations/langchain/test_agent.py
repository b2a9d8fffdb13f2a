"""A deep agent whose model reads from a script: every tool it has is called through the whole of the framework."""

import asyncio

import pytest
from deepagents import create_deep_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage

# not about the sandbox: it hands work to a second model
ELSEWHERE = {"task"}


class Scripted(GenericFakeChatModel):
    """Says what it was told to, whatever it is asked; keeps the tools it was offered."""

    offered: list = []

    def bind_tools(self, tools, **_):
        self.offered = tools
        return self


def script(folder):
    """Calls, each with what its answer must contain."""
    return [
        ("write_file", {"file_path": f"{folder}/job.py", "content": "print('sum', 40 + 1)\n"}, f"{folder}/job.py"),
        ("read_file", {"file_path": f"{folder}/job.py"}, "print('sum', 40 + 1)"),
        ("edit_file", {"file_path": f"{folder}/job.py", "old_string": "40 + 1", "new_string": "40 + 2"}, "job.py"),
        ("execute", {"command": f"python3 {folder}/job.py; echo warned >&2; exit 7"}, "sum 42"),
        ("ls", {"path": folder}, f"{folder}/job.py"),
        ("glob", {"pattern": "*.py", "path": folder}, f"{folder}/job.py"),
        ("grep", {"pattern": "40 + 2", "path": folder, "output_mode": "content"}, "40 + 2"),
        ("execute", {"command": "seq 1 2000", "timeout": 60}, "\n1999\n2000"),
        ("delete", {"file_path": f"{folder}/job.py"}, "job.py"),
        ("read_file", {"file_path": f"{folder}/job.py"}, "file_not_found"),
    ]


@pytest.mark.parametrize("kind", ["sync", "async"])
def test_all_its_tools(backend, sandbox, folder, kind):
    steps = script(folder)
    calls = [
        AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": str(number)}])
        for number, (name, arguments, _) in enumerate(steps)
    ]
    model = Scripted(messages=iter([*calls, AIMessage("done")]))
    agent = create_deep_agent(model=model, backend=backend)
    question = {"messages": [("user", "go")]}
    limit = {"recursion_limit": 200}
    answer = agent.invoke(question, limit) if kind == "sync" else asyncio.run(agent.ainvoke(question, limit))
    results = [message for message in answer["messages"] if isinstance(message, ToolMessage)]
    for (name, arguments, expected), result in zip(steps, results, strict=True):
        assert expected in result.content, f"{name} {arguments}: {result.content[:500]}"
    assert "exit code 7" in results[3].content
    assert answer["messages"][-1].content == "done"
    assert {tool.name for tool in model.offered} - ELSEWHERE == {name for name, _, _ in steps}
    assert sandbox.fs.list_files(folder) == []
