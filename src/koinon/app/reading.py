"""How the framework reads what a request brings."""

import gc
from typing import Any

from litestar import Request


class WholeRequest(Request[Any, Any, Any]):
    """A request whose JSON is read in one go, without a collection of garbage in between."""

    async def json(self) -> Any:
        """As the framework reads it.

        A document that is nested without end is refused where the interpreter has no depth left; what a collection
        would finalise just there, such as a stream that somebody left, could not even be closed.
        """
        await self.body()
        gc.disable()
        try:
            return await super().json()
        finally:
            gc.enable()
