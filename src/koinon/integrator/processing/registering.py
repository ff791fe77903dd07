"""A data set is registered: its rows sealed under a name, once, with a budget of its own."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import msgspec

from koinon.base.database import Connection
from koinon.base.errors import Conflict, Invalid, KoinonError
from koinon.base.ids import new_id
from koinon.base.late import late
from koinon.integrator.processing import store
from koinon.integrator.processing.computing import about, seal_rows
from koinon.integrator.processing.flow import SUBJECT
from koinon.integrator.processing.model import NAME, DataSet, NewDataSet, data_set_object
from koinon.integrator.processing.origins import fingerprints
from koinon.integrator.processing.privacy import Price, open_budget
from koinon.trust.parties import INSTALLER, Author

if TYPE_CHECKING:
    import pyarrow

    from koinon.integrator.processing.service import Processing
else:
    pyarrow = late("pyarrow")


async def register(processing: Processing, new: NewDataSet, rows: pyarrow.Table, by: Author) -> DataSet:
    """The rows lie sealed under a name, their subjects replaced by tokens of this data set alone.

    Raises:
        NotAllowed: `profile_not_held`.
        Invalid: `data_set_name_malformed`, `data_set_subject_missing`.
        Conflict: `data_set_known`; `data_set_same`, naming the other: these rows (`by` is `rows`) or what they are
            the rows of (`origin`) have a name and a budget already.

    Records: `data_set.registered` in the exchange log.
    """
    if by != INSTALLER:
        await processing.demand_operator(by)
    if SUBJECT not in rows.column_names:
        raise Invalid("data_set_subject_missing")
    if not NAME.fullmatch(new.name) or len(new.name) > 64:
        raise Invalid("data_set_name_malformed", name=new.name[:64])
    async with processing.database.acquire() as connection:
        if await store.find_data_set(connection, new.name) is not None:
            raise Conflict("data_set_known", name=new.name)
    known = await processing.work(fingerprints, rows, processing.keys.origins)
    sealed, digest = await processing.work(seal_rows, processing.keys, new.name, rows)
    made = DataSet(
        id=new_id(),
        name=new.name,
        title=new.title,
        source=new.source,
        columns={field.name: str(field.type) for field in rows.schema},
        rows_about=about(rows.num_rows),
        digest=digest,
        registered_at=processing.clock.now(),
        demo=new.demo,
        origin=new.origin,
        words=new.words,
    )
    await processing.objects.put(data_set_object(made.id), sealed, if_absent=True)
    try:
        async with processing.database.transaction() as connection:
            await _enter(processing, connection, made, new.budget, known, by)
    except KoinonError:
        await processing.objects.delete(data_set_object(made.id))
        raise
    return made


async def _enter(
    processing: Processing,
    connection: Connection,
    made: DataSet,
    budget: Price,
    known: Collection[bytes],
    by: Author,
) -> None:
    await store.hold_registering(connection)
    same = await store.find_same(connection, made.origin, known)
    if same is not None:
        raise Conflict("data_set_same", name=same[0], by=same[1])
    values = msgspec.structs.asdict(made) | {
        name: msgspec.to_builtins(getattr(made, name)) for name in ("title", "words")
    }
    if not await store.insert_data_set(connection, values):
        raise Conflict("data_set_known", name=made.name)
    await store.insert_fingerprints(connection, made.id, known)
    await open_budget(connection, made.id, budget)
    await processing.record(
        connection,
        "data_set.registered",
        by,
        None,
        data_set=str(made.id),
        name=made.name,
        digest=made.digest.hex(),
        epsilon=str(budget.epsilon),
        delta=str(budget.delta),
        **({} if made.origin is None else {"origin": made.origin}),
    )
