"""The signed API of cameras: a party's own system hands in a file of its cameras. Raw ASGI; nothing here decides.

    POST /api/cameras/imports   the file's cameras are registered or changed
    POST /api/cameras/trials    the same is tried, and nothing kept

The body is CSV (`text/csv`) or GeoJSON (`application/geo+json`), see `rows`; the answer is an `ImportReport`. Every
request and every answer is signed (RFC 9421). Sending a file again changes nothing.
"""

import contextlib
import io
from pathlib import Path

from koinon.base.crypto import SigningKey
from koinon.base.errors import Invalid, NotAllowed, NotFound
from koinon.trust.gate import Actor, Gate
from koinon.trust.gate.signed import Accepts, Call, Scope, SignedApi, encode
from koinon.trust.parties import Author
from koinon.video.cameras.importing import ImportReport, RowReport, import_rows, summarise
from koinon.video.cameras.policy import SYSTEM
from koinon.video.cameras.rows import reader_of
from koinon.video.cameras.service.record import demand_change
from koinon.video.cameras.sources import SourceKey

PREFIX = "/api/cameras/"
CSV = "text/csv"
GEOJSON = "application/geo+json"
MAX_FILE_BYTES = 8 * 1024 * 1024
_FILE_SECONDS = 60.0
_DRY_RUN = {"imports": False, "trials": True}
_NAMES = {CSV: ".csv", GEOJSON: ".geojson"}


class CamerasApi(SignedApi):
    """The ASGI application of `/api/cameras/`."""

    most_at_once = 2  # each holds a connection to the database until its last row

    def __init__(self, gate: Gate, home: Path, *, key: SigningKey, authority: str) -> None:
        super().__init__(gate, key=key, authority=authority)
        self._home = home

    def accepts(self, scope: Scope) -> Accepts:
        """See `SignedApi.accepts`."""
        if scope["method"] != "POST":
            raise Invalid("method_not_allowed", allowed=["POST"])
        return Accepts(MAX_FILE_BYTES, _FILE_SECONDS, _kind_of(scope))

    async def answer(self, call: Call) -> None:
        """See `SignedApi.answer`."""
        match call.words(PREFIX):
            case [what] if what in _DRY_RUN:
                report = await self._import(call.actor, call.body, _kind_of(call.scope), _DRY_RUN[what])
                await self.respond(call, encode(report))
            case _:
                raise NotFound("route_unknown", method=call.method)

    async def _import(self, actor: Actor, body: bytes, kind: str, dry_run: bool) -> ImportReport:
        """What became of each row. A party or system that is stopped meanwhile is refused, and the rows before stay.

        Raises:
            Invalid, TooLarge: the file as a whole cannot be read, see `rows`.
            NotAllowed: `camera_change_not_allowed`: nobody of the party holds the office of camera manager; the codes
                of `Standing.check_actor`.

        Records: what `import_rows` changes, with the system that did it.
        """
        if actor.system is None:
            raise NotAllowed("actor_unknown")
        keeper, clock = self._gate.keeper, self._gate.clock
        at = clock.now()
        keeper.current.check_actor(actor, at)
        author = Author(party=actor.party, system=actor.system, profile=SYSTEM)
        async with self._gate.database.acquire() as connection:
            await demand_change(connection, actor.party, by=author, at=at)
        rows = import_rows(
            self._gate.database,
            self._gate.sealer,
            SourceKey.of(self._home),
            actor.party,
            reader_of(_NAMES[kind])(io.BytesIO(body)),
            by=author,
            at=at,
            rules=keeper.current.bank.rules,
            dry_run=dry_run,
        )
        reports: list[RowReport] = []
        async with contextlib.aclosing(rows):
            async for each in rows:
                reports.append(each)
                keeper.current.check_actor(actor, clock.now())
        return summarise(reports, dry_run=dry_run)


def _kind_of(scope: Scope) -> str:
    """The media type that the request names, if it is one of ours; what else it names is refused as not this one."""
    given = next((value for name, value in scope["headers"] if name == b"content-type"), b"")
    return GEOJSON if given == GEOJSON.encode() else CSV
