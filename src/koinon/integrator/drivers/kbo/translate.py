"""Between the register's JSON and our values. Pure.

The messages are those of the simulated register in `src/koinon/demo/sources/kbo`; the real one publishes its
own.
"""

from collections.abc import Mapping
from datetime import date

import msgspec

from koinon.integrator.drivers.driver import Context, Reply, Service, WireFault, fields_of
from koinon.integrator.drivers.numbers import is_enterprise_number, is_national_number
from koinon.integrator.drivers.values import EnterpriseFunction, Value
from koinon.integrator.drivers.wires.rest import RestProblem

KEEPER = "fps_economy"
"""FPS Economy, keeper of the KBO/BCE (Code of Economic Law, book III)."""


SERVICES: Mapping[str, Service] = {
    "functions": Service(
        "functions",
        "person",
        fields_of(
            KEEPER,
            (
                "active",
                "flag",
                "actief in een onderneming",
                "actif dans une entreprise",
                "active in an enterprise",
            ),
            ("functions", "functions", "functies", "fonctions", "functions"),
        ),
    ),
    "enterprise": Service(
        "enterprise",
        "enterprise",
        fields_of(
            KEEPER,
            ("name", "text", "naam", "dénomination", "name"),
            ("legal_form", "text", "rechtsvorm", "forme légale", "legal form"),
            ("active", "flag", "actief", "active", "active"),
            ("start_date", "date", "begindatum", "date de début", "start date"),
            ("address", "text", "adres", "adresse", "address"),
        ),
    ),
}


class FunctionsQuestion(msgspec.Struct, frozen=True, rename="camel"):
    """Which functions a person holds on a day."""

    national_number: str
    held_on: date


class Function(msgspec.Struct, frozen=True, rename="camel"):
    """A function as the register writes it; `until` is exclusive."""

    enterprise_number: str
    function: str
    from_: date = msgspec.field(name="from")
    until: date | None = None


class FunctionsAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """The functions of the person named in it."""

    national_number: str
    ticket: str
    functions: list[Function] = []
    replaced_by: str | None = None


class EnterpriseAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """An enterprise."""

    enterprise_number: str
    name: str
    legal_form: str
    active: bool
    start_date: date
    address: str | None = None


def headers(context: Context) -> bytes:
    """The header lines that say who asks and why."""
    return (
        f"X-Organisation: {context.party}\r\nX-Purpose: {context.purpose}\r\nX-Ticket: {context.exchange}\r\n"
    ).encode()


def functions(answer: FunctionsAnswer, held_on: date) -> Reply:
    """What the answer says; a person without functions is one the register has no data on.

    Raises:
        WireFault: `garbage`: a number that cannot be one, or the same function twice.
    """
    if answer.replaced_by is not None:
        if not is_national_number(answer.replaced_by):
            raise WireFault("garbage", "number")
        return Reply(subject=answer.national_number, replaced_by=answer.replaced_by, reference=answer.ticket)
    held = tuple(
        EnterpriseFunction(one.enterprise_number, one.function, one.from_, one.until)
        for one in answer.functions
    )
    if not all(is_enterprise_number(one.enterprise) for one in held):
        raise WireFault("garbage", "number")
    if len(set(held)) != len(held):
        raise WireFault("duplicate_answer")
    values: dict[str, Value] = (
        {"functions": held, "active": any(one.held_on(held_on) for one in held)} if held else {}
    )
    return Reply(
        subject=answer.national_number,
        status="data" if held else "no_data",
        values=values,
        reference=answer.ticket,
    )


def enterprise(answer: EnterpriseAnswer) -> Reply:
    """What the answer says."""
    values: dict[str, Value] = {
        "name": answer.name,
        "legal_form": answer.legal_form,
        "active": answer.active,
        "start_date": answer.start_date,
    }
    if answer.address is not None:
        values["address"] = answer.address
    return Reply(subject=answer.enterprise_number, values=values)


def refused(subject: str, problem: RestProblem) -> Reply:
    """A refusal in the register's words, in ours.

    Raises:
        RestProblem: it is not one we know: a fault of the source.
    """
    code = problem.problem.code
    if problem.http_status == 404 and code in ("unknown_person", "unknown_enterprise"):
        return Reply(subject=subject, status="no_data", fault="unknown_subject", detail=code)
    if problem.http_status == 403:
        return Reply(subject=subject, status="not_allowed", fault="purpose_refused", detail=problem.detail)
    raise problem
