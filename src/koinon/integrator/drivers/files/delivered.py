"""A source that delivers its whole register as a message, now and then; it is asked here, not there.

A delivery holds the records of one service in one of the three syntaxes; its record type is `<source>_<service>`. It is
read whole before it counts: a truncated one, one with a rejected record, one older than what stands, the same
one again, are refused and change nothing.
"""

import asyncio
import contextlib
import io
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from koinon.base.errors import Invalid
from koinon.base.text import Text
from koinon.integrator.drivers.driver import Context, Driver, Reply, Service, WireFault
from koinon.integrator.drivers.files.place import DONE, FileRefused, Place, original_name
from koinon.integrator.drivers.files.taking import QUIET, take_over
from koinon.integrator.drivers.values import Value
from koinon.integrator.formats import (
    BrokenMessage,
    FieldSpec,
    Header,
    Kind,
    NationalNumber,
    Record,
    RecordType,
    Syntax,
    declare,
    open_reader,
)
from koinon.integrator.formats.kinds import MAX_DIGITS

_SYNTAXES: Mapping[str, Syntax] = {"txt": "fixed", "xml": "xml", "jsonl": "jsonl", "json": "json"}


_KINDS: Mapping[str, Kind] = {
    "text": "text",
    "number": "number",
    "cents": "money",
    "flag": "flag",
    "date": "date",
    "partial_date": "partial_date",
}
_TEXT_WIDTH = 100


def types_of(source: str, services: Mapping[str, Service]) -> Mapping[str, RecordType]:
    """The record types in which a source delivers its services.

    Raises:
        Invalid: `source_not_deliverable`: a field is a list, which has no place in a record.
    """
    types = []
    for name, service in services.items():
        for field in service.fields.values():
            if field.kind not in _KINDS:
                raise Invalid("source_not_deliverable", source=source, field=field.name)
        fields = tuple(
            FieldSpec(
                field.name,
                _KINDS[field.kind],
                field.label,
                _TEXT_WIDTH if field.kind == "text" else MAX_DIGITS,
            )
            for field in service.fields.values()
        )
        subject: Literal["national_number", "enterprise_number"] = (
            "national_number" if service.subject == "person" else "enterprise_number"
        )
        types.append(RecordType(f"{source}_{name}", 1, Text(source, source, source), subject, fields))
    return declare(types)


class _Standing(msgspec.Struct, frozen=True):
    """A delivery that was read: what it says of itself, and its records by subject."""

    header: Header
    records: Mapping[str, Record]


class Delivered(Driver):
    """A source of files.

    Attributes:
        look_seconds: how often the place is looked at; in between what was read is what is known.
        longest: how old a delivery may be; after that the source is `outdated`, not known to be empty.
        limit_bytes: of one delivery.
    """

    look_seconds: float = 60.0
    longest: timedelta = timedelta(days=35)
    limit_bytes: int = 64 << 20
    quiet: timedelta = QUIET

    def __init__(
        self, name: str, services: Mapping[str, Service], types: Mapping[str, RecordType], place: Place
    ) -> None:
        self.name = name
        self.services = services
        self._types = types
        self._place = place
        self._standing: dict[str, _Standing] = {}
        self._loaded: set[str] = set()
        self._looked = float("-inf")
        self._look: asyncio.Task[None] | None = None

    async def ask(
        self, service: Service, subjects: Sequence[str], fields: frozenset[str], context: Context
    ) -> Sequence[Reply]:
        """See `Driver.ask`.

        Raises:
            WireFault: `unreachable` where there never was a delivery, `outdated` where the last is too old.
        """
        if time.monotonic() - self._looked >= self.look_seconds:
            if self._look is None:
                self._look = asyncio.create_task(self.look(datetime.now(UTC)))
            look = self._look
            # A caller that leaves does not end it for the others.
            await asyncio.shield(look)
        standing = self._standing.get(service.name)
        if standing is None:
            raise WireFault("unreachable", "no_delivery")
        if context.at - standing.header.created > self.longest:
            raise WireFault("outdated")
        return [_reply(subject, standing) for subject in subjects]

    async def look(self, now: datetime) -> None:
        """What lay ready is taken over, and the last delivery of each service stands, whoever took it over.

        Raises:
            WireFault: `unreachable`.
        """
        try:
            # First what stands, of whoever took it over: a delivery is held to it.
            for delivery in reversed(await self._place.list(DONE)):
                if delivery.name in self._loaded:
                    continue
                self._loaded.add(delivery.name)
                if self._looked == float("-inf") and self._standing.keys() >= self.services.keys():
                    continue
                # An earlier one is refused, and is of no use any more.
                with contextlib.suppress(FileRefused):
                    data = await self._place.read(DONE, delivery.name, self.limit_bytes)
                    await self._accept(original_name(delivery.name), data)
            await take_over(self._place, self._accept, at=now, limit_bytes=self.limit_bytes, quiet=self.quiet)
            self._looked = time.monotonic()
        finally:
            self._look = None

    async def close(self) -> None:
        """See `Source.close`."""
        if self._look is not None:
            self._look.cancel()
        await self._place.close()

    async def _accept(self, name: str, data: bytes) -> None:
        """The delivery stands from now on.

        Raises:
            FileRefused: `delivery_syntax`, `delivery_unknown`, `delivery_broken`, `delivery_rejected`,
                `delivery_doubled`, `delivery_outdated`, `delivery_repeated`.
        """
        read = await asyncio.to_thread(self._read, name, data)
        service = read.header.record_type.removeprefix(f"{self.name}_")
        standing = self._standing.get(service)
        if standing is not None:
            if read.header.reference == standing.header.reference:
                raise FileRefused("delivery_repeated")
            if read.header.created <= standing.header.created:
                raise FileRefused("delivery_outdated")
        self._standing[service] = read

    def _read(self, name: str, data: bytes) -> _Standing:
        syntax = _SYNTAXES.get(name.rpartition(".")[2])
        if syntax is None:
            raise FileRefused("delivery_syntax")
        records: dict[str, Record] = {}
        count = 0
        try:
            reader = open_reader(io.BytesIO(data), syntax, self._types)
            header = reader.header
            if header.record_type.removeprefix(f"{self.name}_") not in self.services:
                raise FileRefused("delivery_unknown")
            for batch in reader.batches():
                if batch.rejects:
                    raise FileRefused("delivery_rejected")
                for record in batch.columns.records():
                    records[record.subject] = record
                    count += 1
        except BrokenMessage:
            raise FileRefused("delivery_broken") from None
        if len(records) != count:
            raise FileRefused("delivery_doubled")
        return _Standing(header, records)


def _reply(subject: str, standing: _Standing) -> Reply:
    record = standing.records.get(subject)
    reference = standing.header.reference
    if record is None:
        return Reply(subject=subject, status="no_data", fault="unknown_subject", reference=reference)
    if record.replaced_by is not None:
        return Reply(subject=subject, replaced_by=record.replaced_by, reference=reference)
    values: dict[str, Value] = {}
    for name, answer in record.fields.items():
        if answer.status == "value":
            value = answer.value
            values[name] = value.number if isinstance(value, NationalNumber) else value
    return Reply(
        subject=record.subject, status="data" if values else "no_data", values=values, reference=reference
    )
