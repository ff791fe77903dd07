"""Verification of one generation of a log, from three sources that must agree: rows, tiles and entry bundles.

Each is taken by itself: rows are hashed from the entries' bytes, bundles too, tiles give hashes; so a change of one
is told as a change of that one. Roots come from rows and from tiles apart, and are held against the head, the published
checkpoint and what witnesses cosigned.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from uuid import UUID

import msgspec

from koinon.base.clock import rfc3339
from koinon.base.crypto import from_b64url
from koinon.base.database import Connection, Database
from koinon.base.errors import Invalid, KoinonError, NotFound
from koinon.base.objects import Objects
from koinon.trust.ledger.audit import store
from koinon.trust.ledger.audit.report import Report
from koinon.trust.ledger.audit.store import AuditedHead, AuditedRow, AuditedSlot
from koinon.trust.ledger.checkpoint import Checkpoint, open_checkpoint
from koinon.trust.ledger.erasure import digest_of
from koinon.trust.ledger.merkle import EMPTY_ROOT, Frontier, leaf_hash
from koinon.trust.ledger.model import MAX_MERGE_DELAY_SECONDS, EntryId, Log
from koinon.trust.ledger.notes import Verifier
from koinon.trust.ledger.published import CHECKPOINT, WITNESSED, PublishedLog
from koinon.trust.ledger.sealing import Erased, Sealer, Slot, text_or_none
from koinon.trust.ledger.sequencing.publisher import TileEdge
from koinon.trust.ledger.tiles import (
    WIDTH,
    Bundle,
    Tile,
    pack_bundle,
    split,
    unpack_bundle,
)

_SEARCHED = ("party", "keeper", "authorisation")


Ask = Callable[[AuditedHead], Awaitable[Sequence[tuple[str, int]]]]


async def verify_log(
    database: Database,
    objects: Objects,
    log: Log,
    *,
    verifier_of: Callable[[AuditedHead], Verifier],
    witnesses: Sequence[Verifier] = (),
    ask: Ask | None = None,
    sealer: Sealer | None = None,
    private: bool = True,
    repair: bool = False,
) -> list[Report]:
    """Everything there is of the log, generation by generation, has been recomputed and compared.

    Sound while the log grows: what must not be newer than the rows is read before them, and the rows in one snapshot.

    Args:
        verifier_of: the key of a generation, from wherever the caller trusts; not from the database that is checked.
        ask: names of witnesses with the size that each says it last cosigned of the open generation.
        sealer: opens private parts; without it only the commitments of subjects are compared.
        private: whether private parts are checked at all.
        repair: objects that are missing are published again from rows that are whole; nothing else is touched.
    """
    async with database.acquire() as connection:
        before = await store.list_heads(connection, log)
    told = await ask(before[-1]) if ask and before and not before[-1].closed else ()
    notes = {}
    for head in before:
        published = PublishedLog(objects, log, head.generation)
        notes[head.generation] = {name: await published.find(name) for name in (CHECKPOINT, WITNESSED)}
    reports = []
    async with (
        database.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        for head in await store.list_heads(connection, log):
            if head.generation not in notes:
                continue  # opened this moment
            report = Report(log=log, generation=head.generation, origin=head.origin, size=head.size)
            published = PublishedLog(objects, log, head.generation)
            auditor = _Auditor(connection, published, head, report, sealer, private, repair)
            await auditor.audit(
                notes[head.generation], verifier_of(head), witnesses, () if head.closed else told
            )
            reports.append(report)
    return reports


class _Auditor:
    def __init__(
        self,
        connection: Connection,
        published: PublishedLog,
        head: AuditedHead,
        report: Report,
        sealer: Sealer | None,
        private: bool,
        repair: bool,
    ) -> None:
        self._connection = connection
        self._published = published
        self._head = head
        self._report = report
        self._sealer = sealer
        self._private = private
        self._repair = repair
        self._rows_whole = True
        # Leaves of a closed origin that its successor's first entry says are lost.
        self._given_up = 0
        self._blanked: dict[UUID, list[tuple[str, int]]] = {}

    async def audit(
        self,
        notes: Mapping[str, bytes | None],
        verifier: Verifier,
        witnesses: Sequence[Verifier],
        told: Sequence[tuple[str, int]],
    ) -> None:
        report, head = self._report, self._head
        checkpoint = None
        if (note := notes[CHECKPOINT]) is not None:
            checkpoint = self._open(CHECKPOINT, note, verifier, ())
        else:
            report.add("checkpoint_missing", CHECKPOINT)
        # What witnesses cosigned, from where it is kept: each is a bound below which nothing may be missing.
        kept = {
            WITNESSED: notes[WITNESSED],
            "ledger.cosigned": await store.find_cosigned(self._connection, report.log, head.generation),
        }
        opened = [
            (where, self._open(where, note, verifier, witnesses))
            for where, note in kept.items()
            if note is not None
        ]
        cosigned = [(where, found) for where, found in opened if found is not None]
        report.cosigned = max((found.size for _, found in cosigned), default=0)
        if head.closed:
            self._given_up = await store.find_given_up(self._connection, report.log, head)
        await self._walk(checkpoint, cosigned)
        await self._check_erasures()
        for name, size in told:
            report.witnesses_asked += 1
            report.cosigned = max(report.cosigned, size)
            if size > head.size:
                why = f"it has cosigned {size} leaves, the head has {head.size}"
                report.add("restored_below_witness", name, index=head.size, why=why)
        if not head.closed:
            for entry in await store.list_stray(self._connection, report.log):
                report.add("entry_unnumbered", "ledger.entry", entry=entry)
            for entry in await store.list_overdue(self._connection, report.log, MAX_MERGE_DELAY_SECONDS):
                report.add("promise_overdue", "ledger.pending", entry=entry)

    def _open(
        self, where: str, note: str | bytes, verifier: Verifier, witnesses: Sequence[Verifier]
    ) -> Checkpoint | None:
        try:
            checkpoint, signatures = open_checkpoint(note, verifier, witnesses)
        except KoinonError as error:
            self._report.add("checkpoint_invalid", where, why=error.code)
            return None
        if witnesses and not signatures:
            self._report.add("checkpoint_invalid", where, why="no cosignature of a known witness")
        return checkpoint

    async def _walk(self, checkpoint: Checkpoint | None, cosigned: Sequence[tuple[str, Checkpoint]]) -> None:
        """All leaves, 256 at a time, from all three sources."""
        head, report = self._head, self._report
        size = checkpoint.size if checkpoint else 0
        report.published = size
        rows_tree, tiles_tree = Frontier(), Frontier()
        bounds = [(CHECKPOINT, checkpoint)] if checkpoint else []
        bounds += cosigned
        wanted = {bound.size for _, bound in bounds} | {head.size}
        roots_of_rows: dict[int, bytes] = {0: EMPTY_ROOT}
        roots_of_tiles: dict[int, bytes] = {0: EMPTY_ROOT}
        edge = TileEdge()
        for begin in range(0, max(head.size, size), WIDTH):
            rows = await store.list_rows(
                self._connection, report.log, head.generation, begin, min(begin + WIDTH, head.size)
            )
            by_index = {row.index: row for row in rows}
            await self._check_rows(begin, by_index)
            if checkpoint is not None and begin < size:
                bundle = Bundle(begin // WIDTH, min(WIDTH, size - begin))
                tile = Tile(0, begin // WIDTH, bundle.width)
                hashes = await self._check_leaves(tile, bundle, by_index)
                for offset, each in enumerate(hashes):
                    tiles_tree.append(each)
                    if begin + offset + 1 in wanted:
                        roots_of_tiles[begin + offset + 1] = tiles_tree.root()
            for index in range(begin, min(begin + WIDTH, head.size)):
                row = by_index.get(index)
                if row is None or not self._rows_whole:
                    continue
                rows_tree.append(row.hash)
                for full, data in edge.append(row.hash, index + 1):
                    if full.level and (index + 1) <= size:
                        await self._check_tile(full, data)
                if index + 1 == size:
                    for partial, data in edge.partial(size):
                        if partial.level:
                            await self._check_tile(partial, data)
                if index + 1 in wanted:
                    roots_of_rows[index + 1] = rows_tree.root()
        if self._rows_whole and roots_of_rows.get(head.size) != head.root:
            report.add("head_broken", "ledger.head", why="the root is not that of the rows")
        beyond = await store.count_beyond(self._connection, report.log, head.generation, head.size)
        if beyond:
            report.add("row_beyond_head", "ledger.leaf", index=head.size, why=f"{beyond} rows")
        for where, bound in bounds:
            self._check_bound(where, bound, roots_of_rows, roots_of_tiles)

    def _check_bound(
        self, where: str, bound: Checkpoint, of_rows: dict[int, bytes], of_tiles: dict[int, bytes]
    ) -> None:
        report, head = self._report, self._head
        if bound.size > max(head.size, self._given_up):
            report.add(
                "rows_below_checkpoint_missing",
                "ledger.leaf",
                index=head.size,
                why=f"the head has {head.size} leaves, {where} {bound.size}",
            )
        elif bound.size <= head.size and self._rows_whole and of_rows.get(bound.size) != bound.root:
            report.add("rows_differ_from_checkpoint", "ledger.leaf", why=f"{where} of {bound.size}")
        if bound.size <= report.published and of_tiles.get(bound.size, bound.root) != bound.root:
            report.add("tiles_differ_from_checkpoint", "tile/0", why=f"{where} of {bound.size}")

    async def _check_rows(self, begin: int, by_index: dict[int, AuditedRow]) -> None:
        head, report = self._head, self._report
        for index in range(begin, min(begin + WIDTH, head.size)):
            row = by_index.get(index)
            if row is None:
                self._rows_whole = False
                report.add("row_missing", "ledger.leaf", index=index)
            elif row.data is None:
                report.add("entry_missing", "ledger.entry", index=index, entry=row.entry)
            elif leaf_hash(row.data) != row.hash:
                report.add("entry_altered", "ledger.entry.bytes", index=index, entry=row.entry)
            else:
                self._check_columns(row)
        if self._private:
            await self._check_private([row for row in by_index.values() if row.data is not None])

    def _check_columns(self, row: AuditedRow) -> None:
        """The columns by which pages search say what the bytes say."""
        document = msgspec.json.decode(row.data or b"")
        at = rfc3339(row.at, minutes=row.log == Log.EXCHANGE) if row.at else None
        expected = {
            "id": (document.get("id"), str(row.entry)),
            "log": (self._report.log.value, row.log),
            "kind": (document.get("kind"), row.kind),
            "at": (document.get("at"), at),
            **{name: (text_or_none(document.get(name)), getattr(row, name)) for name in _SEARCHED},
        }
        for name, (told, found) in expected.items():
            if told != found:
                self._report.add(
                    "column_altered",
                    f"ledger.entry.{name}",
                    index=row.index,
                    entry=row.entry,
                    why=f"bytes say {told!r}",
                )

    async def _check_private(self, rows: Sequence[AuditedRow]) -> None:
        report = self._report
        slots = await store.list_slots(self._connection, [row.entry for row in rows])
        for row in rows:
            try:
                document = msgspec.json.decode(row.data or b"")
            except msgspec.DecodeError:
                continue  # told already: the bytes are not those of the leaf
            found = slots.get(row.entry, [])
            self._note_blanked(found)
            if not isinstance(document, dict) or "commitment" not in document:
                if found or row.sealed is not None:
                    report.add("private_unexpected", "ledger.slot", index=row.index, entry=row.entry)
                continue
            if row.sealed is None:
                report.add("private_missing", "ledger.entry.sealed", index=row.index, entry=row.entry)
                continue
            self._open_private(row, document, found)

    def _open_private(
        self, row: AuditedRow, document: dict[str, object], found: Sequence[AuditedSlot]
    ) -> None:
        if self._sealer is None or row.at is None or row.sealed is None:
            return
        subjects = document.get("subjects")
        try:
            opened = self._sealer.open(
                EntryId(row.entry),
                row.at,
                row.sealed,
                [Slot(slot.ordinal, slot.commitment, slot.key) for slot in found],
                from_b64url(str(document["commitment"])),
                None if subjects is None else from_b64url(str(subjects)),
            )
        except (Invalid, NotFound) as error:
            self._report.add(
                "private_altered", "ledger.slot", index=row.index, entry=row.entry, why=str(error)
            )
            return
        if isinstance(opened, Erased):
            self._report.erased += 1
            return
        self._report.private += 1
        month = row.at.strftime("%Y-%m")
        for slot, subject in zip(found, opened.subjects, strict=False):
            if subject is not None and slot.token != self._sealer.keys.token(month, subject):
                self._report.add(
                    "token_altered",
                    "ledger.slot.token",
                    index=row.index,
                    entry=row.entry,
                    why=f"slot {slot.ordinal}",
                )

    def _note_blanked(self, slots: Sequence[AuditedSlot]) -> None:
        for slot in slots:
            if slot.erasure is not None:
                self._blanked.setdefault(slot.erasure, []).append((str(slot.entry), slot.ordinal))

    async def _check_erasures(self) -> None:
        """Every blanked slot belongs to an erasure that an entry of this log records, slot by slot."""
        if not self._blanked:
            return
        recorded = await store.list_erasures(self._connection)
        for erasure, slots in self._blanked.items():
            if recorded.get(str(erasure)) != digest_of(slots):
                entry, ordinal = min(slots)
                why = f"slot {ordinal}, erasure {erasure}"
                self._report.add("erased_without_entry", "ledger.slot", entry=UUID(entry), why=why)

    async def _check_leaves(self, tile: Tile, bundle: Bundle, by_index: dict[int, AuditedRow]) -> list[bytes]:
        """The hashes of the level 0 tile, after bundle, tile and rows were held against each other."""
        begin = tile.index * WIDTH
        rows = [by_index.get(begin + offset) for offset in range(tile.width)]
        whole = [row for row in rows if row is not None and row.data is not None]
        complete = len(whole) == tile.width
        data = await _read(self._published.tile(tile))
        if data is None:
            rebuilt = b"".join(row.hash for row in whole) if complete else None
            await self._missing("tile_missing", tile.path, begin, rebuilt)
        packed = await _read(self._published.bundle(bundle))
        if packed is None:
            rebuilt = pack_bundle(row.data or b"" for row in whole) if complete else None
            await self._missing("bundle_missing", bundle.path, begin, rebuilt)
        hashes = split(data[: 32 * tile.width]) if data is not None else None
        entries = self._unpack(bundle, packed)
        for offset in range(tile.width):
            self._compare(
                tile,
                bundle,
                begin + offset,
                rows[offset],
                None if hashes is None else _at(hashes, offset),
                None if entries is None else _at(entries, offset),
            )
        return hashes if hashes is not None else [row.hash for row in rows if row is not None]

    def _unpack(self, bundle: Bundle, packed: bytes | None) -> list[bytes] | None:
        if packed is None:
            return None
        try:
            return [leaf_hash(entry) for entry in unpack_bundle(packed)]
        except Invalid as error:
            self._report.add("bundle_altered", bundle.path, index=bundle.index * WIDTH, why=str(error))
            return None

    def _compare(
        self,
        tile: Tile,
        bundle: Bundle,
        index: int,
        row: AuditedRow | None,
        of_tile: bytes | None,
        of_bundle: bytes | None,
    ) -> None:
        """One leaf by row, tile and bundle; of three, the two that agree tell which one was changed.

        None stands for a source that is missing and told already; empty for one that is too short.
        """
        entry = row.entry if row is not None else None
        sources = {
            ("row_altered", "ledger.leaf.hash"): row.hash if row is not None else None,
            ("tile_altered", tile.path): of_tile,
            ("bundle_altered", bundle.path): of_bundle,
        }
        present = {name: value for name, value in sources.items() if value is not None}
        values = list(present.values())
        if len(set(values)) < 2:
            return
        common = max(set(values), key=values.count)
        odd = (
            [name for name, value in present.items() if value != common]
            if values.count(common) > 1
            else present
        )
        for code, where in odd:
            why = "" if len(odd) == 1 else "the sources that are left differ"
            self._report.add(code, where, index=index, entry=entry, why=why)

    async def _check_tile(self, tile: Tile, expected: bytes) -> None:
        data = await _read(self._published.tile(tile))
        if data is None:
            await self._missing("tile_missing", tile.path, None, expected)
        elif data[: len(expected)] != expected:
            self._report.add("tile_altered", tile.path)

    async def _missing(self, code: str, path: str, index: int | None, rebuilt: bytes | None) -> None:
        if self._repair and rebuilt is not None and self._report.ok:
            await self._published.put(path, rebuilt)
            self._report.repaired += 1
        else:
            self._report.add(code, path, index=index)


def _at(items: Sequence[bytes], offset: int) -> bytes:
    return items[offset] if offset < len(items) else b""


async def _read(reading: Awaitable[bytes]) -> bytes | None:
    try:
        return await reading
    except NotFound:
        return None
