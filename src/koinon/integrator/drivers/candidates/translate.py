"""Between rows of the register of applicants and our values. Pure, with the one query it answers to.

The agreement is a view, not tables: `candidates.open_application(national_number, application, company,
since, simulated)`, one row for each person in an open application.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from koinon.integrator.drivers.driver import Reply, Service, WireFault, fields_of
from koinon.integrator.drivers.values import Value

KEEPER = "slrb_bghm"
"""The regional housing company BGHM/SLRB, keeper of the register of applicants."""

AT_ONCE = 50
QUERY = """
select national_number, application, company, since, simulated
from candidates.open_application
where national_number = any($1::text[])
limit 200
"""

SERVICES: Mapping[str, Service] = {
    "application": Service(
        "application",
        "person",
        fields_of(
            KEEPER,
            ("application", "text", "dossiernummer", "numéro de dossier", "file number"),
            ("company", "text", "huisvestingsmaatschappij", "société de logement", "housing company"),
            ("since", "date", "datum van inschrijving", "date d’inscription", "date of application"),
        ),
        AT_ONCE,
    )
}


def read(
    subjects: Sequence[str], rows: Sequence[Mapping[str, Any]], *, accept_simulated: bool
) -> list[Reply]:
    """A reply for each row, and `no_data` for each subject without one.

    Raises:
        WireFault: `garbage` where a column has another type than agreed; `simulated`.
    """
    replies = []
    for row in rows:
        values = {name: row[name] for name in ("national_number", "application", "company", "since")}
        if not (
            all(isinstance(values[name], str) for name in ("national_number", "application", "company"))
            and isinstance(values["since"], date)
        ):
            raise WireFault("garbage", "type")
        if row["simulated"] and not accept_simulated:
            raise WireFault("simulated")
        known: dict[str, Value] = {name: values[name] for name in ("application", "company", "since")}
        replies.append(Reply(subject=values["national_number"], values=known))
    found = {reply.subject for reply in replies}
    replies.extend(Reply(subject=subject, status="no_data") for subject in subjects if subject not in found)
    return replies
