"""From the parts of a batch to its result files and its receipt. The files are written in a thread."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, cast

import msgspec

from koinon.base.clock import rfc3339
from koinon.base.crypto import SigningKey, b64url, jws_sign
from koinon.base.late import late
from koinon.integrator.deferred.chunks import FORBIDDEN, decode_part, decode_rows
from koinon.integrator.deferred.model import Batch, RecordStatus, ResultFile
from koinon.integrator.deferred.policy import result_type, rows_types
from koinon.integrator.deferred.sealed import PiecesOut, SealedObjects
from koinon.integrator.deferred.store import Part
from koinon.integrator.formats import Header, RecordType, Syntax, Writer, open_writer, write_table
from koinon.integrator.model import Flow

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc
else:
    pc = late("pyarrow.compute")

# What travels back names the platform as its sender.
SENDER = "koinon"


class _Out(NamedTuple):
    """A file that is being written: of the records, or of the rows of `field`, which is a list."""

    file: PiecesOut
    writer: Writer
    field: str | None


async def write_results(
    batch: Batch, flow: Flow, parts: Sequence[Part], sealed: SealedObjects, at: datetime
) -> list[ResultFile]:
    """The answers of all parts are in a file of each wanted syntax, in the order of the consumer's file; the rows of
    each list that was asked are in files of their own.
    """
    loop = asyncio.get_running_loop()
    asked = {field: each for field, each in rows_types(flow).items() if field in batch.fields}
    wanted: list[tuple[str | None, RecordType]] = [(None, result_type(flow)), *asked.items()]

    def open_one(field: str | None, record_type: RecordType, syntax: Syntax) -> _Out:
        name = syntax if field is None else f"{syntax}.{field}"
        file = PiecesOut(sealed, batch.id, name, loop)
        header = Header(
            record_type=record_type.name,
            version=record_type.version,
            sender=SENDER,
            flow=batch.flow,
            purpose=batch.purpose,
            reference=batch.number,
            created=at.replace(microsecond=0),
        )
        types = {record_type.name: record_type}
        return _Out(file, open_writer(cast(BinaryIO, file), syntax, header, types=types), field)

    def open_all() -> list[_Out]:
        return [open_one(*each, syntax) for each in wanted for syntax in batch.results]

    outs = await asyncio.to_thread(open_all)
    told: set[str] = set()
    rows = dict.fromkeys(asked, 0)
    for part in parts:
        data = await sealed.get(part.part)
        told |= await asyncio.to_thread(_write, outs, data, batch, flow, rows)

    def close_all() -> list[ResultFile]:
        files = []
        for file, writer, field in outs:
            writer.close()
            fields = sorted(told) if field is None else [field] if field in told else []
            files.append(msgspec.structs.replace(file.finish(), fields=fields))
        return files

    return await asyncio.to_thread(close_all)


def _write(outs: Sequence[_Out], data: bytes, batch: Batch, flow: Flow, rows: dict[str, int]) -> set[str]:
    """The part is in each file; the fields about which it says anything. `rows` counts those written of each list."""
    records = decode_part(data, batch.id, result_type(flow))
    tables: list[tuple[str | None, RecordType, pa.RecordBatch]] = [(None, result_type(flow), records)]
    for name, record_type in rows_types(flow).items():
        if name in rows:
            found = decode_rows(data, batch.id, name, record_type, rows[name] + 1)
            tables.append((name, record_type, found))
            rows[name] += len(found)
    for of, record_type, table in tables:
        refused = write_table([writer for _, writer, field in outs if field == of], record_type, table)
        if refused:
            # Flags, counts, keys, codes and rows that were made to fit do so in every syntax; a flow whose texts do
            # not is declared wrongly.
            raise ValueError(f"result of {flow.name} does not fit: {refused[0].code} in {refused[0].field}")
    return {
        spec.name
        for spec in result_type(flow).fields[2:]
        if pc.any(pc.not_equal(records[f"{spec.name}.status"], FORBIDDEN)).as_py()
    }


def total(batch: Batch, parts: Sequence[Part]) -> dict[str, int]:
    """How many records ended with each status; together they are all records of the file."""
    counted: Counter[str] = Counter({status.value: 0 for status in RecordStatus})
    for part in parts:
        counted.update(part.counts)
    counted[RecordStatus.REJECTED.value] = batch.rejected or 0
    return dict(counted)


def sign_receipt(
    key: SigningKey,
    batch: Batch,
    parts: Sequence[Part],
    totals: dict[str, int],
    files: Sequence[ResultFile],
    at: datetime,
) -> str:
    """The platform's word for the batch: what came in, what went out, and every entry it promised. A JWS (RFC 7515)."""
    said = {
        "batch": str(batch.id),
        "number": batch.number,
        "party": str(batch.party),
        "flow": batch.flow,
        "purpose": batch.purpose,
        "at": rfc3339(at),
        "file": {"length": batch.length, "sha256": batch.sha256.hex()},
        "totals": totals,
        "results": [{"name": f.name, "length": f.length, "sha256": f.sha256} for f in files],
        "entries": [
            {
                "entry": str(part.entry or part.refused_entry),
                **({"refused_entry": str(part.refused_entry)} if part.entry and part.refused_entry else {}),
                "leaf_hash": b64url(part.leaf_hash),
                "at": rfc3339(part.promised_at),
                "first": part.first,
                "records": part.records,
            }
            for part in parts
        ],
    }
    return jws_sign(key, msgspec.json.encode(said))
