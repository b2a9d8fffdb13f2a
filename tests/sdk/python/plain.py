"""An asynchronous client, used as if it were synchronous, so that one set of flows tests both.

The event loop runs in a thread of its own for the whole session, as in a real program: streams and heartbeats go on
between two calls. Guarantees: arguments, results and errors pass through unchanged.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

# the modules whose objects have calls to await
ASYNCHRONOUS = ("daytona._async", "daytona.handle.async", "daytona_toolbox_api_client_async.api.")
PATIENCE = 120  # seconds for one call; the client's own deadlines are shorter


class Loop:
    """An event loop in a background thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(PATIENCE)

    def call(self, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        """Calls inside the loop, as constructors of asynchronous clients need it, and awaits what has to be awaited."""

        async def inside() -> Any:
            result = function(*arguments, **named)
            return await result if asyncio.iscoroutine(result) else result

        return self.run(inside())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)


class Plain:
    """One asynchronous object of the SDK: client, sandbox, file system, process, terminal."""

    def __init__(self, inner: Any, loop: Loop) -> None:
        self._inner, self._loop = inner, loop

    def __getattr__(self, name: str) -> Any:
        return plain(getattr(self._inner, name), self._loop)


def plain(value: Any, loop: Loop) -> Any:
    """`value` without anything to await."""
    if type(value).__module__.startswith(ASYNCHRONOUS):
        return Plain(value, loop)
    if hasattr(value, "__aiter__"):
        return _iterate(value, loop)
    if isinstance(value, list):
        return [plain(item, loop) for item in value]
    if callable(value) and not isinstance(value, type):

        def call(*arguments: Any, **named: Any) -> Any:
            inner = [argument._inner if isinstance(argument, Plain) else argument for argument in arguments]
            return plain(loop.call(value, *inner, **named), loop)

        return call
    return value


def _iterate(source: Any, loop: Loop) -> Iterator[Any]:
    iterator = source.__aiter__()
    while True:
        try:
            item = loop.run(iterator.__anext__())
        except StopAsyncIteration:
            return
        yield plain(item, loop)
