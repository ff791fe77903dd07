"""Who used my data: for the party that asked, and for the keeper of the source that was asked."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from litestar import Request, get
from litestar.di import NamedDependency
from litestar.params import FromQuery

from koinon.base.clock import Clock
from koinon.base.database import Connection, Database
from koinon.base.errors import NotAllowed
from koinon.base.ids import parse_id
from koinon.base.text import Text
from koinon.portal import N_, Message, NavigationItem, Viewer, portal_of, render
from koinon.trust.gate import store
from koinon.trust.gate.keepers import Keepers
from koinon.trust.gate.model import EndReason
from koinon.trust.ledger import Entry, Log, Private, Sealer, Stored, append, find_entries, read_fields
from koinon.trust.parties import Register
from koinon.trust.parties.sign_in import Session
from koinon.trust.rules import Vocabulary, load_vocabulary
from koinon.trust.standing import Standing

# Who of a party may read its whole trace. A case handler sees the own questions only.
OVERSEEING = frozenset({"party_manager", "security_adviser"})
_PAGE = 50
# Whose an entry is stands sealed, so lines are found by opening entries: so many pages of them for one page of lines.
_ROUNDS = 10

KINDS = {
    "exchange.released": N_("answered"),
    "exchange.refused": N_("refused"),
    "exchange.begun": N_("began"),
    "exchange.piece": N_("part sent"),
    "exchange.renewed": N_("renewed"),
    "exchange.ended": N_("ended"),
    "export.asked": N_("asked for as a file"),
    "recording.asked": N_("asked of its owner"),
}
ENDS = {
    EndReason.COMPLETED: N_("everything was sent"),
    EndReason.LEFT: N_("the receiver went away"),
    EndReason.CUT: N_("cut: its grounds were taken away"),
    EndReason.EXPIRED: N_("its grounds had run out"),
    EndReason.UNCONFIRMED: N_("cut: its grounds could not be confirmed in time"),
    EndReason.FAILED: N_("a source or the platform failed"),
    EndReason.UNKNOWN: N_("unknown: the process that ran it died"),
}
# Why the gate refuses, to whoever asked.
problems: dict[str, Message] = {
    "action_not_authorised": N_("The authorisation does not cover this action."),
    "adviser_inactive": N_("The security adviser of your party is no longer active: your party cannot ask."),
    "adviser_missing": N_("Your party has no security adviser in office: it cannot ask."),
    "adviser_not_advised": N_("The Commission has not advised on the security adviser of your party yet."),
    "authorisation_missing": N_("Your party has no authorisation for this question and purpose."),
    "authorisation_expired": N_("The authorisation has run out."),
    "authorisation_not_yet_valid": N_("The authorisation has not begun yet."),
    "authorisation_of_another": N_("The authorisation is another party's."),
    "authorisation_suspended": N_("The Commission has suspended the authorisation."),
    "authorisation_withdrawn": N_("The Commission has withdrawn the authorisation."),
    "case_missing": N_("The authorisation demands the reference of your file."),
    "convention_missing": N_("No convention in force covers this question between these parties."),
    "field_not_authorised": N_("The authorisation does not cover what was asked."),
    "flow_ended": N_("The Commission has ended this data flow."),
    "flow_suspended": N_("The Commission has suspended this data flow."),
    "conditions_not_met": N_("A condition of the rule that gives this use is not met."),
    "fact_unknown": N_("Something that the rule needs is not known. What is not known counts as no."),
    "no_field_allowed": N_("The rule bank gives your profile none of the data that were asked."),
    "no_rule": N_("No rule of the bank gives this use."),
    "not_in_force": N_("The rule that gives this use is not in force today."),
    "forbidden": N_("A rule of the bank forbids this use."),
    "matrix_denies": N_("The convention does not give this use to your profile."),
    "party_left": N_("Your party no longer takes part."),
    "party_suspended": N_("The Commission has suspended your party."),
    "person_suspended": N_("The Commission has suspended your access."),
    "profile_not_authorised": N_("The authorisation is not for your profile."),
    "purpose_not_authorised": N_("The authorisation does not cover this purpose."),
    "resource_not_authorised": N_("The authorisation does not cover this source."),
    "rule_suspended": N_("The Commission has suspended the rule that gives this use."),
    "second_person_missing": N_("A second person has to confirm this question."),
    "subject_not_registered": N_(
        "Your party has no file on this person for this purpose in the reference directory."
    ),
    "too_many_subjects": N_("The question is about more persons than the authorisation allows."),
    "depth_exceeded": N_("Images as old as these may not be shown to you."),
    "emergency_only": N_("This is given only where an emergency is declared, which is reviewed afterwards."),
    "outside_hours": N_("The convention gives this only at other hours."),
    "outside_territory": N_("The camera stands outside the territory for which you may look."),
    "purpose_not_in_matrix": N_("The convention does not give this for the purpose that you name."),
    "reason_missing": N_("A written reason is demanded."),
    "second_person_same": N_("The second person must be another human than the one who asks."),
    "work_station_only": N_("This is given only at a registered work station of your control centre."),
    # Requests that systems sign.
    "signature_missing": N_("The request is not signed. Sign it as RFC 9421 says, under the label koinon."),
    "signature_malformed": N_("The signature does not have the form that is expected (%(field)s)."),
    "unknown_component_list": N_("The signature must cover exactly this: %(expected)s"),
    "signature_too_long_lived": N_(
        "A signature holds for at most %(limit_seconds)s seconds. Sign with an earlier end."
    ),
    "signature_from_future": N_("The signature is dated in the future. Set the clock of your system right."),
    "signature_expired": N_(
        "The signature has run out. Sign anew; if it stays so, set the clock of your system right."
    ),
    "signature_replayed": N_("This request was received before. Sign each one with a nonce of its own."),
    "unsupported_content_type": N_("The body must be of the type %(expected)s."),
    "content_type_missing": N_("It is not said of what type the body is, so it is not believed."),
    "digest_missing": N_("Give the digest of the body in Content-Digest (RFC 9530, SHA-256)."),
    "digest_malformed": N_(
        "The digest does not have the form that is expected: SHA-256, in a header as RFC 9530 says, elsewhere as "
        "64 hexadecimal digits."
    ),
    "digest_mismatch": N_("The body is not the one whose digest was sent: one of the two was changed."),
    "idempotency_key_malformed": N_(
        "Idempotency-Key is given once, and has 1 to 128 visible ASCII characters."
    ),
    "idempotency_key_reused": N_("This Idempotency-Key was used for another question. Take a new one."),
    "body_too_large": N_("At most %(limit_bytes)s bytes are taken at once. Send less, or in parts."),
    "platform_busy": N_(
        "As many requests are under way as the platform takes at once. Try again in a moment."
    ),
    "actor_unknown": N_("Only a system with its key asks this, or only a person who signed in."),
    # While it is decided and while it runs.
    "standing_moved": N_("What is in force changed in the meantime, so nothing was let through. Ask again."),
    "directory_stale": N_(
        "The reference directory changed in the meantime, so nothing was let through. Ask again."
    ),
    "witness_quorum_lost": N_(
        "For more than %(limit_seconds)s seconds too few witnesses have cosigned the ledger, so nothing is let "
        "through. The operator looks into it."
    ),
    "rule_of_another_deliberation": N_(
        "The rule that gives this use rests on another deliberation than your authorisation."
    ),
    "integrator_missing": N_("No service integrator takes part, so nothing can be exchanged."),
    "key_suspended": N_("The Commission has suspended this key."),
    "no_field_asked": N_("The question names no field. Say what is asked."),
    "service_stopping": N_("The service is being restarted. Begin again in a moment."),
    "use_ended": N_("This use has ended."),
    "use_not_running": N_("This use does not run any more. Begin again."),
    "not_decidable": N_("Whether it may go on could not be decided, so it ended. Begin again."),
    "not_renewed": N_("That it goes on could not be recorded, so it ended. Begin again."),
}
ACTIONS = {
    "consult": N_("consult"),
    "communicate": N_("communicate"),
    "register": N_("register"),
    "view_live": N_("view live"),
    "view_recording": N_("view a recording"),
    "export": N_("export"),
    "steer": N_("steer"),
    "unmask": N_("see without masks"),
    "mask": N_("draw masks"),
}


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the trace, as a page shows it."""

    entry: UUID
    at: datetime
    kind: str
    action: str
    party: Text | str
    who: str
    case: str
    purpose: Text | str
    authorisation: str
    resources: Sequence[tuple[Text | str, str]]
    code: str
    why: Message | None


def _signed_in_party(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.party is not None and viewer.party_kind != "commission"


def _keeper(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.profile == "source_keeper"


navigation = [
    NavigationItem(label=N_("Uses by us"), path="/uses", shown_to=_signed_in_party, order=30),
    NavigationItem(label=N_("Uses of our source"), path="/uses/source", shown_to=_keeper, order=31),
]


@get("/uses")
async def show_uses(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
    after: FromQuery[str | None] = None,
) -> Any:
    """What this party asked, newest first: all of it for its manager and adviser, the own questions for others.

    Records: `trace.read` in the exchange log.
    """
    if session.party is None or session.person is None:
        raise NotAllowed("profile_not_chosen")
    everything = session.profile in OVERSEEING
    said = portal_of(request).problems
    async with database.transaction() as connection:
        words = await load_vocabulary(connection)

        async def find(before: UUID | None) -> list[Stored]:
            return await find_entries(
                connection, party=str(session.party), log=Log.EXCHANGE, before=before, limit=_PAGE
            )

        async def read(entries: Sequence[Stored]) -> list[Use]:
            return [
                _use(entry, private, standing.register, words, said)
                for entry, private in zip(
                    entries, await read_fields(connection, sealer, entries), strict=True
                )
                if entry.kind in KINDS
                and (
                    everything
                    or (isinstance(private, Private) and private.fields.get("person") == str(session.person))
                )
            ]

        uses, more = await _gather(find, read, parse_id(after, "after") if after else None)
        running = await store.list_running(connection, party=session.party)
        await _record_reading(connection, sealer, session, "party", len(uses), clock.now())
    return render(
        request,
        "gate/uses.html",
        uses=uses,
        running=[(use, _resource(words, use.resource)) for use in running] if everything else [],
        everything=everything,
        later=after is not None,
        next=more,
        kinds=KINDS,
        actions=ACTIONS,
    )


@get("/uses/source")
async def show_source_uses(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    database: NamedDependency[Database],
    sealer: NamedDependency[Sealer],
    standing: NamedDependency[Standing],
    keepers: NamedDependency[Keepers],
    clock: NamedDependency[Clock],
    after: FromQuery[str | None] = None,
) -> Any:
    """What was done with the services that this party keeps, newest first, whoever asked.

    The keeper sees who, when, for which purpose and on which authorisation; not about whom.

    Records: `trace.read` in the exchange log.
    """
    if session.party is None or session.profile != "source_keeper":
        raise NotAllowed("profile_not_held", profile="source_keeper")
    number = standing.register.parties[session.party].enterprise_number
    mine = {
        resource
        for authorisation in standing.agreements.authorisations.values()
        for resource in authorisation.resources
        if keepers.is_kept_by(resource, number)
    }
    said = portal_of(request).problems
    async with database.transaction() as connection:
        words = await load_vocabulary(connection)

        async def find(before: UUID | None) -> list[Stored]:
            found: list[Stored] = []
            for authorisation in standing.agreements.authorisations.values():
                if mine & set(authorisation.resources):
                    found += await find_entries(
                        connection,
                        authorisation=authorisation.number,
                        log=Log.EXCHANGE,
                        before=before,
                        limit=_PAGE,
                    )
            return sorted(found, key=lambda entry: entry.id, reverse=True)[:_PAGE]

        async def read(entries: Sequence[Stored]) -> list[Use]:
            ours = [entry for entry in entries if mine & set(entry.public.get("resources", ()))]
            opened = await read_fields(connection, sealer, ours)
            return [
                _use(entry, private, standing.register, words, said)
                for entry, private in zip(ours, opened, strict=True)
            ]

        uses, more = await _gather(find, read, parse_id(after, "after") if after else None)
        await _record_reading(connection, sealer, session, "source", len(uses), clock.now())
    return render(
        request,
        "gate/source_uses.html",
        uses=uses,
        services=[_resource(words, resource) for resource in sorted(mine)],
        later=after is not None,
        next=more,
        kinds=KINDS,
        actions=ACTIONS,
    )


async def _gather(
    find: Callable[[UUID | None], Awaitable[Sequence[Stored]]],
    read: Callable[[Sequence[Stored]], Awaitable[Sequence[Use]]],
    before: UUID | None,
) -> tuple[list[Use], UUID | None]:
    """A page of lines, newest first, and what the next one is asked with: None where nothing follows.

    After `_ROUNDS` pages of entries it stops; what follows is then not known, and may be asked for.
    """
    kept: list[Use] = []
    for _ in range(_ROUNDS):
        entries = await find(before)
        for use in await read(entries):
            if len(kept) == _PAGE:
                return kept, kept[-1].entry
            kept.append(use)
        if len(entries) < _PAGE:
            return kept, None
        before = entries[-1].id
    return kept, before


async def _record_reading(
    connection: Connection, sealer: Sealer, session: Session, scope: str, count: int, at: datetime
) -> None:
    """Reading the trace is itself a use of personal data, and leaves one."""
    entry = Entry(
        log=Log.EXCHANGE,
        kind="trace.read",
        public={"party": str(session.party), "scope": scope},
        private={"person": str(session.person), "profile": session.profile, "entries": count},
        at=at,
    )
    await append(connection, sealer, [entry])


def _resource(words: Vocabulary, resource: str) -> tuple[Text | str, str]:
    """A resource in words, and its code."""
    word = words.find_resource(resource)
    return (word.title if word is not None else resource, resource)


def _use(
    entry: Stored, private: object, register: Register, words: Vocabulary, said: Mapping[str, Message]
) -> Use:
    fields = private.fields if isinstance(private, Private) else {}
    party = register.parties.get(_party_id(entry))
    person = fields.get("person")
    system = fields.get("system")
    who = ""
    if person is not None:
        found = register.persons.get(UUID(str(person)))  # type: ignore[call-overload]
        who = found.name if found is not None else ""
    elif system is not None:
        machine = register.systems.get(UUID(str(system)))  # type: ignore[call-overload]
        who = machine.name if machine is not None else ""
    purpose = str(fields.get("purpose", ""))
    code = str(entry.public.get("code") or entry.public.get("reason") or "")
    return Use(
        entry=entry.id,
        at=entry.at,
        kind=entry.kind,
        action=str(entry.public.get("action", "")),
        party=party.name if party is not None else "",
        who=who,
        case=str(fields.get("case", "")),
        purpose=words.purposes.get(purpose, purpose),
        authorisation=str(entry.public.get("authorisation", "")),
        resources=[_resource(words, str(each)) for each in entry.public.get("resources", ())],
        code=code,
        why=ENDS[EndReason(code)] if code in set(EndReason) else said.get(code),
    )


def _party_id(entry: Stored) -> Any:
    try:
        return UUID(str(entry.public.get("party", "")))
    except ValueError:
        return None


handlers = [show_uses, show_source_uses]
