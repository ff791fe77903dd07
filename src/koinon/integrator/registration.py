"""Registering a dossier: a party enters a person into the reference directory, with proof that it knows the person.

As at the Crossroads Bank: no registration without proof, so that a directory line cannot be made up in order to look
somebody up. The proof (family name and birth date) is compared with the National Register, through the gate, under the
action `register`; the party learns only whether it was accepted.
"""

import time
import unicodedata
from datetime import date, datetime, timedelta
from typing import NamedTuple

import msgspec

from koinon.base.clock import civil_date, start_of
from koinon.base.errors import Invalid, NotAllowed, Unavailable
from koinon.integrator.directory import DossierLine, insert_dossiers, new_line
from koinon.integrator.drivers import (
    Context,
    IdentityProof,
    Ksz,
    PartialDate,
    Registration,
    SourceAnswer,
    is_national_number,
)
from koinon.integrator.service import Integrator
from koinon.trust.gate import REGISTER, Actor, Ask, Passage, Receipt, Released
from koinon.trust.ledger import Entry, Log, append

PERSON = "rijksregister/person"
HOUSEHOLD = "rijksregister/household"
LONGEST = timedelta(days=366 * 3)


class DossierRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of `POST /api/dossiers`.

    Attributes:
        valid_from, valid_until: days in Brussels' civil time, until exclusive; at most three years.
        family_name, birth_date: the proof; an incomplete birth date as `1980-09-00`.
    """

    purpose: str
    case: str
    national_number: str
    family_name: str
    birth_date: str
    valid_from: date
    valid_until: date


class DossierAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """That the dossier stands in the directory.

    Attributes:
        household: for how many persons of the household the social-security directory took the registration too;
            of `household_size`, None where that is not known.
    """

    dossier: str
    valid_from: datetime
    valid_until: datetime
    household: int
    household_size: int | None
    receipt: Receipt


class RegisteredDossier(NamedTuple):
    """The answer, and the release on whose word it may be shown."""

    answer: DossierAnswer
    released: Released[dict[str, object]]


async def register_dossier(
    integrator: Integrator, request: DossierRequest, actor: Actor
) -> RegisteredDossier:
    """The party has a dossier on the person, for the purpose and the period, from now on.

    Raises:
        Invalid: `subject_malformed`, `case_missing`, `case_too_long`, `dossier_period_empty`,
            `dossier_period_too_long`, `birth_date_malformed`.
        NotAllowed: `evidence_refused` (one code for a person unknown to the register and a proof that does not match),
            and the codes of `Gate.open`.
        Unavailable: `source_silent` when the register does not answer: nothing is registered.

    Records: `exchange.released` and `dossier.registered`, or `exchange.refused`, in the exchange log.
    """
    gate = integrator.gate
    subject = "".join(c for c in request.national_number if c not in " .-")
    if not is_national_number(subject):
        raise Invalid("subject_malformed", expected="national_number")
    case = request.case.strip()
    if not 0 < len(case) <= 64:
        raise Invalid("case_missing" if not case else "case_too_long", limit=64)
    begins, ends = start_of(request.valid_from), start_of(request.valid_until)
    if ends <= begins:
        raise Invalid("dossier_period_empty")
    if ends - begins > LONGEST:
        raise Invalid("dossier_period_too_long", limit_days=LONGEST.days)
    proof = IdentityProof(request.family_name.strip(), None, _read_date(request.birth_date))
    ask = Ask(
        actor=actor,
        purpose=request.purpose,
        case=case,
        action=REGISTER,
        resource=PERSON,
        fields=frozenset({"names", "birth_date"}),
        subjects=(subject,),
        sources={HOUSEHOLD: frozenset({"members"})},
    )
    passage = await gate.open(ask)
    context = _context(integrator, passage, request.purpose)
    source = integrator.sources.get("rijksregister")
    if source is None:
        raise Unavailable("source_silent", source="rijksregister")
    answer = await source.fetch("person", subject, passage.allowed(PERSON), context)
    if answer.status == "no_answer":
        raise Unavailable("source_silent", source="rijksregister", fault=answer.fault)
    if not matches(answer, proof):
        refusal = NotAllowed("evidence_refused")
        await gate.refuse(ask, refusal)
        raise refusal
    line = new_line(request.purpose, answer.current_subject, case, "identity", begins, ends)
    released: Released[dict[str, object]] = await passage.release({})
    at = gate.clock.now()
    lines = [line]
    if answer.replaced_by is not None:  # the party may go on asking by the number it knows
        lines.append(new_line(request.purpose, subject, case, "identity", begins, ends))
    async with gate.database.transaction() as connection:
        await insert_dossiers(connection, integrator.keys, actor.party, lines, at)
        entry = Entry(
            log=Log.EXCHANGE,
            kind="dossier.registered",
            public={"party": str(actor.party), "authorisation": released.authorisation},
            private={
                "dossier": str(line.id),
                "exchange": str(released.exchange),
                "purpose": request.purpose,
                "case": case,
                "valid_from": request.valid_from.isoformat(),
                "valid_until": request.valid_until.isoformat(),
            },
            subjects=tuple(dict.fromkeys(each.subject for each in lines)),
            at=at,
        )
        await append(connection, gate.sealer, [entry])
    size, taken = await _register_household(integrator, passage, line, context)
    answered = DossierAnswer(
        dossier=str(line.id),
        valid_from=begins,
        valid_until=ends,
        household=taken,
        household_size=size,
        receipt=released.receipt,
    )
    return RegisteredDossier(answered, released)


def matches(answer: SourceAnswer, proof: IdentityProof) -> bool:
    """Whether the register's name and birth date are those of the proof; what is not known does not match."""
    names, born = answer.values.get("names"), answer.values.get("birth_date")
    if answer.status != "data" or not isinstance(names, str) or not isinstance(born, PartialDate):
        return False
    return fold(names.partition(",")[0]) == fold(proof.last_name) != "" and born == proof.birth_date


def fold(name: str) -> str:
    """The name without accents, case, spaces and hyphens: as people write it in forms."""
    decomposed = unicodedata.normalize("NFKD", name)
    return "".join(c for c in decomposed if c.isalnum()).casefold()


async def _register_household(
    integrator: Integrator, passage: Passage, line: DossierLine, context: Context
) -> tuple[int | None, int]:
    """(Size of the household, persons whom the social-security directory took) for the dossier's period.

    The flow asks about the whole household, and that directory wants each member registered with proof; the proof is
    what the National Register says of them. A member it does not take is answered `not_allowed` later on.
    """
    register, ksz = integrator.sources.get("rijksregister"), integrator.sources.get("ksz")
    if register is None or not isinstance(ksz, Ksz):
        return None, 0
    household = await register.fetch("household", line.subject, passage.allowed(HOUSEHOLD), context)
    members = household.values.get("members") if household.status == "data" else None
    numbers = [each.number for each in members] if isinstance(members, tuple) else [line.subject]  # type: ignore[union-attr]
    persons = await register.fetch_many("person", numbers, passage.allowed(PERSON), context)
    taken = 0
    for person in persons:
        names, born = person.values.get("names"), person.values.get("birth_date")
        if isinstance(names, str) and isinstance(born, PartialDate):
            done = await ksz.register(
                Registration(
                    person.current_subject,
                    "register",
                    civil_date(line.valid_from),
                    civil_date(line.valid_until),
                    IdentityProof(names.partition(",")[0], None, born),
                ),
                context,
            )
            taken += done.status == "done"
    return (len(numbers) if isinstance(members, tuple) else None), taken


def _context(integrator: Integrator, passage: Passage, purpose: str) -> Context:
    party = passage.standing.register.parties[passage.ask.actor.party]
    return Context(
        purpose=purpose,
        party=party.enterprise_number,
        exchange=passage.exchange,
        at=integrator.gate.clock.now(),
        deadline=time.monotonic() + 8.0,
    )


def _read_date(text: str) -> PartialDate:
    try:
        return PartialDate.parse(text)
    except (ValueError, Invalid):
        raise Invalid("birth_date_malformed", expected="yyyy-mm-dd") from None
