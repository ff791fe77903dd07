"""From the parts of a batch to its result files and its receipt. The files are written in a thread."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import BinaryIO, cast

import msgspec

from koinon.base.clock import rfc3339
from koinon.base.crypto import SigningKey, b64url, jws_sign
from koinon.integrator.deferred.chunks import FORBIDDEN, decode_part
from koinon.integrator.deferred.model import Batch, RecordStatus, ResultFile
from koinon.integrator.deferred.policy import result_type
from koinon.integrator.deferred.sealed import PiecesOut, SealedObjects
from koinon.integrator.deferred.store import Part
from koinon.integrator.formats import Header, Writer, open_writer
from koinon.integrator.model import Flow

# What travels back names the platform as its sender.
SENDER = "koinon"


async def write_results(
    batch: Batch, flow: Flow, parts: Sequence[Part], sealed: SealedObjects, at: datetime
) -> list[ResultFile]:
    """The answers of all parts are in a file of each wanted syntax, in the order of the consumer's file."""
    loop = asyncio.get_running_loop()
    record_type = result_type(flow)
    header = Header(
        record_type=record_type.name,
        version=record_type.version,
        sender=SENDER,
        flow=batch.flow,
        purpose=batch.purpose,
        reference=batch.number,
        created=at.replace(microsecond=0),
    )
    files = [PiecesOut(sealed, batch.id, syntax, loop) for syntax in batch.results]
    types = {record_type.name: record_type}

    def open_all() -> list[Writer]:
        return [
            open_writer(cast(BinaryIO, file), syntax, header, types=types)
            for file, syntax in zip(files, batch.results, strict=True)
        ]

    writers = await asyncio.to_thread(open_all)
    told: set[str] = set()
    for part in parts:
        data = await sealed.get(part.part)
        told |= await asyncio.to_thread(_write, writers, data, batch, flow)

    def close_all() -> list[ResultFile]:
        for writer in writers:
            writer.close()
        return [msgspec.structs.replace(file.finish(), fields=sorted(told)) for file in files]

    return await asyncio.to_thread(close_all)


def _write(writers: Sequence[Writer], data: bytes, batch: Batch, flow: Flow) -> set[str]:
    """The part is in each file; the fields about which it says anything."""
    columns = decode_part(data, batch.id, result_type(flow))
    for writer in writers:
        refused = writer.write(columns)
        if refused:
            # Flags, counts, keys and codes fit in every syntax; a flow whose texts do not is declared wrongly.
            raise ValueError(f"result of {flow.name} does not fit: {refused[0].code} in {refused[0].field}")
    specs = columns.record_type.fields[2:]
    return {
        spec.name
        for spec, column in zip(specs, columns.fields[2:], strict=True)
        if column.statuses is None or column.statuses.strip(bytes([FORBIDDEN]))
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
