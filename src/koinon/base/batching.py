"""One statement for everything that is waiting: group commit inside a process.

While a batch is on its way to the database, whatever arrives waits for the next one. There is no window: under
light load an item leaves at once, under heavy load batches grow by themselves (measured: a window only adds
waiting, see `docs/design/trust-core.md`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Hands waiting items to `run` together, one batch at a time.

    `run` takes the items in order of arrival and returns one result for each, in the same order; a result that
    is an exception is raised in the caller whose item it answers. When `run` itself raises, every caller of that
    batch gets the exception: `run` must have done nothing in that case (one statement, one transaction).
    """

    def __init__(
        self,
        run: Callable[[Sequence[Item]], Awaitable[Sequence[Result | Exception]]],
        *,
        limit: int = 256,
    ) -> None:
        self._run = run
        self._limit = limit
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._task: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Result:
        """The result that `run` gave for `item`."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._task is None:
            self._task = asyncio.create_task(self._drain())
        return await future

    async def _drain(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[: self._limit], self._waiting[self._limit :]
                try:
                    results = await self._run([item for item, _ in batch])
                except Exception as error:
                    for _, future in batch:
                        if not future.done():
                            future.set_exception(error)
                    continue
                for (_, future), result in zip(batch, results, strict=True):
                    if future.done():
                        continue  # the caller went away; what was done for it stands
                    if isinstance(result, Exception):
                        future.set_exception(result)
                    else:
                        future.set_result(result)
        finally:
            self._task = None
            if self._waiting:  # only when this task was cancelled in mid-batch
                for _, future in self._waiting:
                    future.cancel()
                self._waiting.clear()
