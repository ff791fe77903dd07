"""JSON over HTTP: typed bodies, problem documents, and copies that stay valid by ETag.

Source: RFC 9110 section 8.8.3 (ETag) and 13.1.2 (If-None-Match), RFC 9457 (problem documents).
"""

from collections import OrderedDict
from typing import TypeVar

import msgspec

from koinon.integrator.drivers.driver import WireFault
from koinon.integrator.drivers.wires.http import HttpClient, HttpReply

T = TypeVar("T")


class Problem(msgspec.Struct, frozen=True):
    """The part of a problem document that we use; its texts are not, they may name persons."""

    type: str = "about:blank"
    status: int = 0
    code: str = ""


class RestProblem(WireFault):
    """The source refused with a problem document."""

    def __init__(self, status: int, problem: Problem) -> None:
        super().__init__("source_fault", problem.code[:32])
        self.http_status = status
        self.problem = problem


async def post_json(client: HttpClient, path: str, body: msgspec.Struct, headers: bytes, kind: type[T]) -> T:
    """The answer to `body`, read as `kind`.

    Raises:
        RestProblem, WireFault: see `read_reply`.
    """
    reply = await client.send(
        "POST",
        path,
        msgspec.json.encode(body),
        b"Content-Type: application/json\r\nAccept: application/json\r\n" + headers,
    )
    return read_reply(reply, kind)


def read_reply(reply: HttpReply, kind: type[T]) -> T:
    """The body of a successful reply as `kind`.

    Raises:
        RestProblem: a 4xx or 5xx with a problem document.
        WireFault: `http_status` without one; `garbage`: not JSON, or not of that kind.
    """
    if reply.status == 200 and reply.content_type() == b"application/json":
        return _decode(reply.body, kind)
    if reply.status >= 400 and reply.content_type() == b"application/problem+json":
        raise RestProblem(reply.status, _decode(reply.body, Problem))
    raise WireFault("http_status" if reply.status != 200 else "garbage", str(reply.status))


class ValidatedCopies:
    """The last `size` resources read, each asked again with its ETag: what did not change is not sent again.

    For public data only (enterprises): data of persons are asked for anew each time, and kept nowhere.
    """

    def __init__(self, size: int = 1000) -> None:
        self._size = size
        self._copies: OrderedDict[str, tuple[bytes, HttpReply]] = OrderedDict()

    async def get(self, client: HttpClient, path: str, headers: bytes, kind: type[T]) -> T:
        """The resource at `path` as it is now.

        Raises:
            RestProblem, WireFault: see `read_reply`.
        """
        copy = self._copies.get(path)
        if copy is not None:
            headers += b"If-None-Match: " + copy[0] + b"\r\n"
        reply = await client.send("GET", path, headers=b"Accept: application/json\r\n" + headers)
        if reply.status == 304 and copy is not None:
            self._copies.move_to_end(path)
            return read_reply(copy[1], kind)
        value = read_reply(reply, kind)
        tag = reply.headers.get(b"etag", b"")
        if tag and all(0x21 <= byte <= 0x7E for byte in tag):
            self._copies[path] = (tag, reply)
            if len(self._copies) > self._size:
                self._copies.popitem(last=False)
        return value


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        raise WireFault("garbage", "json") from None
