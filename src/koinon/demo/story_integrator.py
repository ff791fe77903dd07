"""Deferred mode and statistics in the story of the demo region: a batch with a reject, an answer in three syntaxes, a
published table with a suppressed cell.
"""

import asyncio
import io
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, get_args

import httpx
import pyarrow

from koinon.base.clock import SystemClock
from koinon.base.database import Database, embedded
from koinon.base.errors import Conflict
from koinon.base.ids import new_id
from koinon.base.objects import open_objects
from koinon.base.settings import load_settings
from koinon.base.text import Text
from koinon.client import Client
from koinon.client.batches import Batches
from koinon.demo.region import FLOW, NORTH, PURPOSE, Region
from koinon.demo.story import hold
from koinon.integrator.deferred import question_type, result_type
from koinon.integrator.flows import FLOWS
from koinon.integrator.formats import Header, Record, Syntax, gather, open_reader, open_writer
from koinon.integrator.model import FieldAnswer
from koinon.integrator.processing.cluster import Cluster
from koinon.integrator.processing.model import NewDataSet
from koinon.integrator.processing.privacy import Price
from koinon.integrator.processing.service import Processing
from koinon.trust.ledger import Sealer
from koinon.trust.parties import Author

StepMaker = Callable[[str], AbstractContextManager[None]]
SYNTAXES = get_args(Syntax)
DATA_SET = "demo-applications"


def tell_integrator(
    step: StepMaker, told: dict[str, Any], url: str, home: Path, client: Client, subjects: list[str]
) -> None:
    """What the steps found stands in `told["batch"]` and `told["statistics"]`."""
    with step(
        "a batch in fixed-length records: one is rejected with its reason, the others are answered and proven"
    ):
        told["batch"], results = _send(home, client, subjects)
    with step("the answer in three syntaxes says the same"):
        said = {syntax: _read(syntax, data) for syntax, data in results.items()}
        first = said[SYNTAXES[0]]
        hold(bool(first) and all(each == first for each in said.values()), f"they differ: {said}")
        told["batch"]["syntaxes"] = sorted(said)
    with step("a table is published; a small cell is suppressed, and cannot be worked out from the others"):
        told["statistics"] = _publish(url, home)


def _send(home: Path, client: Client, subjects: list[str]) -> tuple[dict[str, Any], dict[str, bytes]]:
    number = f"DEMO-{new_id().hex[-8:]}"
    file = write_questions(home, number, subjects)
    # The last record is spoiled as a bad line would be: its check digits do not fit any more.
    spoiled = file.replace(subjects[-1].encode(), (subjects[-1][:-2] + "00").encode())
    hold(spoiled != file, "a record is spoiled")
    batches = Batches(client)
    with tempfile.TemporaryDirectory(prefix="koinon-batch-") as folder:
        path = Path(folder) / "questions"
        path.write_bytes(spoiled)
        sent = batches.send(
            path, number=number, flow=FLOW, purpose=PURPOSE, syntax="fixed", results=list(SYNTAXES)
        )
        done = batches.wait(sent.id)
        hold(done.state == "done", f"the batch is {done.state}: {done.code} {done.facts}")
        hold(done.rejected == 1, f"{done.rejected} rejected")
        results = {}
        for each in done.files:
            batches.fetch(sent.id, each.name, Path(folder) / each.name)
            results[each.name] = (Path(folder) / each.name).read_bytes()
        proof = batches.prove(sent.id, 1)
    rejects = results["rejects"].decode()
    return (
        {
            "number": number,
            "records": done.records,
            "rejected": done.rejected,
            "totals": dict(done.totals or {}),
            "reject": rejects.splitlines()[0],
            "proof_of_record_1": {"entry": str(proof.person.entry), "leaves": proof.person.size},
        },
        {name: data for name, data in results.items() if name in SYNTAXES},
    )


def write_questions(
    home: Path,
    number: str,
    subjects: list[str],
    *,
    code: str = NORTH,
    flow: str = FLOW,
    purpose: str = PURPOSE,
) -> bytes:
    """A file of fixed-length records in which the party of that code asks about everybody, today."""
    type_ = question_type(FLOWS[flow])
    now = datetime.now(UTC).replace(microsecond=0)
    header = Header(
        record_type=type_.name,
        version=type_.version,
        sender=str(Region.load(home).parties[code]),
        flow=flow,
        purpose=purpose,
        reference=number,
        created=now,
    )
    stream = io.BytesIO()
    writer = open_writer(stream, "fixed", header, types={type_.name: type_})
    today = FieldAnswer(status="value", value=now.date())
    for batch in gather(
        type_, (Record(n, each, {"reference_date": today}) for n, each in enumerate(subjects, 1))
    ):
        writer.write(batch.columns)
    writer.close()
    return stream.getvalue()


def _read(syntax: Any, data: bytes) -> list[tuple[int, str, dict[str, Any]]]:
    """The records of a result: number, subject, fields."""
    type_ = result_type(FLOWS[FLOW])
    found = []
    for batch in open_reader(io.BytesIO(data), syntax, types={type_.name: type_}).batches():
        found += [(each.sequence, each.subject, dict(each.fields)) for each in batch.columns.records()]
    return found


def _publish(url: str, home: Path) -> dict[str, Any]:
    publication = asyncio.run(_make_table(home))
    with httpx.Client(base_url=url, timeout=15) as http:
        table = http.get(f"/api/statistics/{publication}").raise_for_status().json()
    hidden = [each for each in table["body"] if each["suppressed"]]
    hold(len(hidden) >= 2, "a small cell and what would give it away are suppressed")
    return {"publication": publication, "cells": len(table["body"]), "suppressed": len(hidden)}


_WORDS = {
    "demo": Text(
        "verzonnen voor de demoregio",
        "inventé pour la région de démonstration",
        "made up for the demo region",
    ),
    "zone": Text("zone", "zone", "zone"),
    "household": Text("gezin", "ménage", "household"),
    "single": Text("alleenstaand", "personne isolée", "single"),
    "couple": Text("koppel", "couple", "couple"),
    "family": Text("gezin met kinderen", "famille avec enfants", "family with children"),
    "north": Text("noord", "nord", "north"),
    "south": Text("zuid", "sud", "south"),
    "west": Text("west", "ouest", "west"),
}


async def _make_table(home: Path) -> str:
    """Made-up applications by zone and kind of household; one group is of four, and three others protect it."""
    settings = load_settings({}, home=home)
    url = settings.database_url or embedded.ensure_running(home)
    counts = {
        (zone, household): count
        for zone, row in {"north": (61, 24, 47), "south": (38, 17, 29), "west": (52, 13, 4)}.items()
        for household, count in zip(("single", "couple", "family"), row, strict=True)
    }
    rows = [key for key, count in counts.items() for _ in range(count)]
    table = pyarrow.table(
        {
            "subject": [f"{number:011d}" for number in range(len(rows))],
            "zone": [zone for zone, _ in rows],
            "household": [kind for _, kind in rows],
        }
    )
    by = Author(profile="operator")
    async with await Database.open(url, kind="web", max_size=3) as database:
        processing = Processing(
            database=database,
            sealer=Sealer.of(home),
            objects=open_objects(settings.objects_url, home),
            clock=SystemClock(),
            home=home,
        )
        try:
            await processing.register_data_set(
                NewDataSet(
                    name=DATA_SET,
                    title=Text(
                        "Kandidaten voor een sociale woning (demo)",
                        "Candidats à un logement social (démo)",
                        "Applicants for a social dwelling (demo)",
                    ),
                    source="demo",
                    words=_WORDS,
                    budget=Price(epsilon=Decimal(1), delta=Decimal("0.000001")),
                    demo=True,
                ),
                table,
                by,
            )
        except Conflict as error:  # the story was told before
            if error.code != "data_set_known":
                raise
        earlier = [each for each in await processing.list_publications() if each.data_set_name == DATA_SET]
        if earlier:
            return str(earlier[0].id)
        made = await processing.publish_cells(
            DATA_SET,
            Cluster(dimensions=("zone", "household"), minimum=10),
            (),
            Text(
                "Kandidaten per zone en gezin (demo)",
                "Candidats par zone et ménage (démo)",
                "Applicants by zone and household (demo)",
            ),
            by,
        )
    return str(made.id)
