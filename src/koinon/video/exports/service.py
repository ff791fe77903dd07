"""What somebody does with exports: ask, look, fetch, delete. Nothing here makes one."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from koinon.base.crypto import b64url, constant_time_equal, from_b64url, hkdf, hmac_token
from koinon.base.database import Connection, Database
from koinon.base.errors import Conflict, Invalid, NotAllowed, NotFound, TooMany
from koinon.base.ids import new_id
from koinon.base.jobs import enqueue
from koinon.trust.gate import Actor, EndReason, Gate, Record, release_with
from koinon.trust.parties.sign_in import Session
from koinon.video.cameras import CameraId
from koinon.video.exports import policy, store
from koinon.video.exports.jobs import MAKE
from koinon.video.exports.model import (
    Export,
    ExportId,
    ExportRequest,
    ExportView,
    Form,
    Part,
    State,
    view_of,
)
from koinon.video.exports.sending import Download
from koinon.video.exports.shelf import Shelf
from koinon.video.masks.policy import mask_of
from koinon.video.masks.service import list_masks
from koinon.video.playback import Playback
from koinon.video.recordings import list_places
from koinon.video.rights import Entered, Rights, View, actor_of, confirmations

LIFE: Final = timedelta(seconds=60)
"""How long a token opens an export to be fetched."""


class _Claims(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a token says. `session` is the SHA-256 of the session's token, in base64url."""

    export: UUID
    session: str
    expires: datetime


_decode = msgspec.json.Decoder(_Claims).decode


class Exports:
    """The use cases of exports in a web process. `secret`: by it tokens are known as ours, in every web process."""

    def __init__(
        self,
        *,
        database: Database,
        gate: Gate,
        rights: Rights,
        playback: Playback,
        shelf: Shelf,
        secret: bytes,
    ) -> None:
        self._database, self._gate, self._rights = database, gate, rights
        self._playback, self._shelf = playback, shelf
        self._key = hkdf(secret, b"koinon export tokens")
        self._running: dict[tuple[bytes, UUID], Download] = {}

    async def ask(self, session: Session, request: ExportRequest) -> ExportView:
        """The export will be made. All of its cameras are given, or none.

        Raises:
            Invalid: see `policy.check_request` and `rights.check_request`.
            NotFound: `camera_unknown`, `camera_has_no_stream`.
            NotAllowed: the gate's codes; `original_masked`: of masked images no originals leave under these rules.
            Conflict: `confirmation_used`.
            TooMany: `too_many_exports`, `exports_full`.

        Records: `export.asked` for each camera, or `exchange.refused`.
        """
        at = self._gate.clock.now()
        actor = actor_of(session)
        policy.check_request(request, at)
        station = await self._rights.find_station(session)
        entered: list[Entered] = []
        for camera in request.cameras:
            entered.append(
                await self._rights.enter(actor, request.view_of(camera), at_work_station=station is not None)
            )
        for each in entered:
            await self._playback.find_stream(CameraId(each.camera.id))
            if request.form is Form.EVIDENCE:
                await self._demand_unmasked(each, request)
        export = _new(session, actor, request, at)

        async def act(connection: Connection, record: Record) -> list[Part]:
            if await store.count_open(connection, export.person) >= policy.MOST_OPEN:
                raise TooMany("too_many_exports", most=policy.MOST_OPEN, retry_after_seconds=60)
            policy.check_kept(*await store.find_kept(connection, export.person), at)
            for each, camera in zip(entered, request.cameras, strict=True):
                confirmation = request.confirmations.get(camera)
                if each.second is not None and confirmation is not None:
                    await confirmations.use(connection, confirmation, at)
                if request.emergency:
                    await self._rights.note_emergency(connection, each, at)
            receipts = await record({"export": str(export.id), "form": request.form.value})
            parts = [
                Part(
                    export=export.id, number=number, camera=CameraId(each.camera.id),
                    exchange=each.passage.exchange, second=each.second, at_work_station=station is not None,
                    receipt=receipt,
                )
                for number, (each, receipt) in enumerate(zip(entered, receipts, strict=True))
            ]  # fmt: skip
            await store.insert_export(connection, export, parts)
            await enqueue(
                connection, MAKE, str(export.id), key=str(export.id),
                run_after=policy.begins_at(request.until, at),
            )  # fmt: skip
            return parts

        nothing: dict[str, None] = {}
        passages = [each.passage for each in entered]
        parts, _ = await release_with(passages, nothing, act, kind="export.asked")
        return view_of(export, parts)

    async def list_own(self, session: Session) -> list[ExportView]:
        """What the person asked for in this party, newest first."""
        actor = actor_of(session)
        assert actor.person is not None
        async with self._database.acquire() as connection:
            found = await store.list_own(connection, actor.party, actor.person)
            parts = await store.list_parts(connection, [each.id for each in found])
        return [view_of(each, parts[each.id]) for each in found]

    async def look(self, session: Session, export: UUID) -> ExportView:
        """How it stands with it. Raises `NotFound: export_unknown`, also for another person's."""
        found, parts = await self._get(session, export)
        return view_of(found, parts)

    async def delete(self, session: Session, export: UUID) -> None:
        """Its asker wants it no more: it is not made, or its files go.

        Raises:
            NotFound: `export_unknown`.
            Conflict: `export_over`: nothing of it is there.
        """
        found, _ = await self._get(session, export)
        going = [State.QUEUED, State.MAKING, State.READY]
        async with self._database.transaction() as connection:
            if not await store.move(
                connection, found.id, State.DELETED, "deleted_by_asker", self._gate.clock.now(), going
            ):
                raise Conflict("export_over")

    async def mint(self, session: Session, export: UUID) -> str:
        """A token with which this session can fetch the export within a minute.

        Raises:
            NotFound: `export_unknown`.
            Conflict: `export_not_ready`, with its state.
        """
        found, _ = await self._get(session, export)
        if found.state is not State.READY:
            raise Conflict("export_not_ready", state=found.state.value)
        claims = _Claims(found.id, b64url(session.token_hash), self._gate.clock.now() + LIFE)
        body = b64url(msgspec.json.encode(claims))
        return f"{body}.{b64url(hmac_token(self._key, body))}"

    async def open(self, session: Session, export: UUID, token: str, *, resumes: bool = False) -> Download:
        """The package can be sent: every camera in it was given anew, and a use of each runs.

        Whoever asks for a part behind the beginning (`resumes`) goes on with the session's download of this export that
        broke less than a minute ago, or is going on, if there is one in this process: it is one use, and traced once.

        Raises:
            NotFound: `export_unknown`: not theirs, or no good token for it in this session.
            Conflict: `export_not_ready`; `export_outdated`: it must leave more masked now than it was made.
            NotAllowed: the gate's codes.

        Records: `exchange.begun` for each camera, or `exchange.refused`; `exchange.ended` when it was sent.
        """
        self._check_token(session, export, token)
        found, parts = await self._get(session, export)
        if found.state is not State.READY or found.manifest is None:
            raise Conflict("export_not_ready", state=found.state.value)
        async with self._database.acquire() as connection:
            files = await store.list_files(connection, found)
            places = {each.id: each for each in await list_places(connection)}
        if not await self._shelf.has_all(files):
            raise Conflict("export_not_ready", state=State.DELETED.value)
        known = (session.token_hash, export)
        if resumes and (running := self._running.get(known)) is not None and not running.over:
            return running
        station = await self._rights.find_station(session)
        files = [await self._shelf.checked(places[each.place], each) for each in files]
        views: dict[CameraId, View] = {}
        download = Download(
            self._shelf, found, files, places, views, LIFE, on_end=lambda: self._forget(known, download)
        )
        try:
            for part in parts:
                view = await self._rights.open(
                    session,
                    found.view_of(part.camera),
                    station=station,
                    second=part.second,
                    note={"export": str(found.id), "step": "fetch"},
                )
                views[part.camera] = view
                if view.masked and not part.masked:
                    raise Conflict("export_outdated")
        except BaseException:
            await download.end(EndReason.FAILED)
            raise
        download.begin()
        self._running[known] = download
        return download

    def _forget(self, known: tuple[bytes, UUID], download: Download) -> None:
        if self._running.get(known) is download:
            del self._running[known]

    def _check_token(self, session: Session, export: UUID, token: str) -> None:
        body, _, mark = token.partition(".")
        try:
            good = constant_time_equal(hmac_token(self._key, body), from_b64url(mark))
            claims = _decode(from_b64url(body))
        except (Invalid, msgspec.DecodeError, ValueError):
            raise NotFound("export_unknown") from None
        if (
            not good
            or claims.export != export
            or claims.session != b64url(session.token_hash)
            or self._gate.clock.now() >= claims.expires
        ):
            raise NotFound("export_unknown")

    async def _get(self, session: Session, export: UUID) -> tuple[Export, list[Part]]:
        actor = actor_of(session)
        assert actor.person is not None
        async with self._database.acquire() as connection:
            found = await store.find_own(connection, export, actor.party, actor.person)
            if found is None:
                # One answer for "there is none" and "it is not yours".
                raise NotFound("export_unknown")
            parts = (await store.list_parts(connection, [found.id]))[found.id]
        return found, parts

    async def _demand_unmasked(self, entered: Entered, request: ExportRequest) -> None:
        if not entered.passage.decision.obligations.masks:
            return
        async with self._database.acquire() as connection:
            masks = await list_masks(connection, CameraId(entered.camera.id))
        if mask_of([each for each in masks if each.polygons], request.since, request.until):
            refusal = NotAllowed("original_masked")
            await self._gate.refuse(entered.passage.ask, refusal)
            raise refusal


def _new(session: Session, actor: Actor, request: ExportRequest, at: datetime) -> Export:
    assert actor.person is not None
    span = (request.until - request.since) // timedelta(microseconds=1)
    return Export(
        id=ExportId(new_id()), party=actor.party, person=actor.person, profile=actor.profile, name=session.name,
        party_name=session.party_name, form=request.form, purpose=request.purpose, case=request.case.strip(),
        reason=request.reason.strip(), since=request.since, until=request.until, emergency=request.emergency,
        state=State.QUEUED, code=None, asked_at=at, moved_at=at, deletes_at=None, attempt=0, done_us=0,
        total_us=span * len(request.cameras), bytes=0, manifest=None, swept_at=None,
    )  # fmt: skip
