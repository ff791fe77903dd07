"""The only responses that a governed route may give."""

from typing import Any

from litestar import Response

from koinon.base.errors import KoinonError
from koinon.trust.gate.release import Released


class Governed(Response[bytes]):
    """A response that shows something which passed the gate, or why it did not."""

    @classmethod
    def of(cls, shown: Released[Any] | KoinonError, response: Response[bytes]) -> "Governed":
        """`response`, vouched for by what it shows.

        Raises:
            TypeError: `shown` did not pass the gate.
        """
        if not isinstance(shown, Released | KoinonError):
            raise TypeError("a governed route shows what was released, or a refusal")
        return cls(
            response.content,
            status_code=response.status_code or 200,
            media_type=response.media_type,
            headers=response.headers,
            cookies=response.cookies,
        )


def only_governed(response: Response[Any]) -> Response[Any]:
    """`after_request` of each governed handler: anything but a `Governed` is turned into an internal error."""
    if not isinstance(response, Governed):
        raise KoinonError("governed_route_leaks")
    return response


__all__ = ["Governed", "only_governed"]
