"""Pages of the integrator: consult."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, get, post
from markupsafe import Markup

from koinon.base.clock import Clock
from koinon.base.errors import Invalid, KoinonError, NotAllowed, NotFound
from koinon.base.text import Text
from koinon.integrator.drivers import FAULTS
from koinon.integrator.model import ExchangeAnswer, ExchangeRequest, FieldAnswer, Flow
from koinon.integrator.service import Integrator, answer_of
from koinon.portal import N_, Message, NavigationItem, Viewer, render
from koinon.trust.gate import Actor, Ask, Governed, only_governed
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import StandingKeeper

SOURCE_NAMES = {
    "rijksregister": N_("National Register"),
    "ksz": N_("Crossroads Bank for Social Security"),
    "kbo": N_("Crossroads Bank for Enterprises"),
    "candidates": N_("Regional register of candidates"),
}
SERVICE_NAMES = {
    "person": N_("person"),
    "household": N_("household"),
    "income": N_("income"),
    "property": N_("rights in property"),
    "functions": N_("functions in enterprises"),
    "social_status": N_("social status"),
    "application": N_("applications"),
}
# Of the parameters that answers name, in words; one that is not here is shown by its code.
PARAMETER_NAMES = {
    "minimum_age": N_("minimum age"),
    "income_years_back": N_("years between application and income"),
    "ceiling_single": N_("income ceiling, one person"),
    "ceiling_one_income": N_("income ceiling, several persons, one income"),
    "ceiling_several_incomes": N_("income ceiling, several incomes"),
    "addition_child": N_("addition for each dependent child"),
    "addition_disabled_adult": N_("addition for each disabled adult"),
    "disabled_child_counts_as": N_("a disabled dependent child counts as"),
}
_WORDS = {True: N_("yes"), False: N_("no"), "yes": N_("yes"), "no": N_("no")}


class ConsultForm(msgspec.Struct, frozen=True):
    """What the form holds, as typed."""

    flow: str = ""
    purpose: str = ""
    subject: str = ""
    case: str = ""


def may_consult(viewer: Viewer | None) -> bool:
    """Whether the menu shows it: who is signed in for a party that could have something to ask."""
    return (
        isinstance(viewer, Session)
        and viewer.party is not None
        and viewer.party_kind not in ("commission", "witness")
    )


navigation = [NavigationItem(label=N_("Consult"), path="/consult", shown_to=may_consult, order=10)]


def actor_of(session: Session) -> Actor:
    """Who asks, in a page.

    Raises:
        NotAllowed: `profile_not_chosen`.
    """
    if session.person is None or session.party is None or session.profile is None:
        raise NotAllowed("profile_not_chosen")
    return Actor(party=session.party, person=session.person, profile=session.profile)


@get("/consult")
async def show_form(
    request: Request[Any, Any, Any],
    session: Session,
    integrator: Integrator,
    keeper: StandingKeeper,
    clock: Clock,
) -> Any:
    """The question form, with what this person's party may ask now."""
    return _form(
        request, integrator, _askable(integrator, keeper, actor_of(session), clock), ConsultForm(), {}
    )


@post("/consult", status_code=200, opt={"governed": True}, after_request=only_governed)
async def consult(
    request: Request[Any, Any, Any],
    session: Session,
    integrator: Integrator,
    keeper: StandingKeeper,
    clock: Clock,
) -> Governed:
    """The answer, or the refusal with its reason.

    Records: `exchange.released` or `exchange.refused`.
    """
    sent = await request.form()
    form = ConsultForm(**{name: str(sent.get(name, ""))[:100] for name in ConsultForm.__struct_fields__})
    actor = actor_of(session)
    flow = integrator.flows.get(form.flow)
    try:
        exchange = await integrator.ask(
            ExchangeRequest(
                flow=form.flow,
                purpose=form.purpose,
                case=form.case,
                subject={flow.subject if flow else "national_number": form.subject},
            ),
            actor,
        )
    except (Invalid, NotFound) as error:
        askable = _askable(integrator, keeper, actor, clock)
        return Governed.of(error, _form(request, integrator, askable, form, _field_errors(error)))
    except KoinonError as error:
        return Governed.of(error, _refused(request, error))
    answer = answer_of(exchange)
    return Governed.of(
        exchange.released, render(request, "integrator/answer.html", **_shown(answer, exchange.flow))
    )


def _askable(integrator: Integrator, keeper: StandingKeeper, actor: Actor, clock: Clock) -> list[Flow]:
    """The flows for which this actor has grounds now, whoever it is about."""
    found = []
    for flow in integrator.flows.values():
        for purpose in flow.purposes:
            ask = Ask(
                actor=actor,
                purpose=purpose,
                case="-",
                action="consult",
                resource=f"flow/{flow.name}",
                fields=frozenset(flow.fields),
                subjects=("-",),
                sources=flow.plan.resources,
            )
            try:
                keeper.current.find_grounds(ask, clock.now())
            except NotAllowed as refusal:
                # Something that was stopped stays in the list: asking it gives the reason.
                if not refusal.code.endswith(("_suspended", "_withdrawn", "_ended", "_expired")):
                    continue
            found.append(flow)
            break
    return found


def _form(
    request: Request[Any, Any, Any],
    integrator: Integrator,
    flows: list[Flow],
    form: ConsultForm,
    errors: Mapping[str, Message],
) -> Any:
    purposes = {code: label for flow in flows for code, label in flow.purposes.items()}
    return render(
        request,
        "integrator/consult.html",
        status_code=400 if errors else 200,
        flows=[(flow.name, flow.title) for flow in flows],
        purposes=list(purposes.items()),
        form=form,
        errors=list(errors.items()),
        field_errors=dict(errors),
    )


def _field_errors(error: KoinonError) -> dict[str, Message]:
    return {
        "flow_unknown": {"flow": N_("Choose one of the questions.")},
        "purpose_unknown": {"purpose": N_("This purpose does not belong to the question.")},
        "case_missing": {"case": N_("Give the reference of your file.")},
        "case_too_long": {"case": N_("The reference is longer than 64 characters.")},
        "subject_malformed": {"subject": N_("This is no valid number: its check digits do not agree.")},
    }.get(error.code, {"subject": N_("This question cannot be asked so.")})


def _refused(request: Request[Any, Any, Any], error: KoinonError) -> Any:
    from koinon.portal import portal_of

    facts: list[tuple[Any, Any]] = [(N_("Code"), error.code)]
    for name, label in (
        ("authorisation", N_("Authorisation")),
        ("rule", N_("Rule")),
        ("exchange", N_("Exchange")),
    ):
        if error.facts.get(name):
            facts.append((label, str(error.facts[name])))
    reason = error.facts.get("reason")
    return render(
        request,
        "integrator/refused.html",
        status_code=error.status,
        message=portal_of(request).problems.get(
            error.code, N_("The gate did not let this question through.")
        ),
        reason=Text(**reason) if isinstance(reason, dict) else None,
        facts=facts,
    )


def _shown(answer: ExchangeAnswer, flow: Flow) -> dict[str, Any]:
    rule = answer.rule.id or "–"
    fields = [
        {"name": name, "label": label, "status": field.status, "shown": _word(field), "why": _why(field)}
        for name, label in flow.fields.items()
        if (field := answer.answer.get(name)) is not None
    ]
    return {
        "answer": answer,
        "flow": flow,
        "fields": fields,
        "filtered": [flow.fields[each.field] for each in answer.filtered if each.field in flow.fields],
        "sources": [
            {
                "label": (
                    SOURCE_NAMES.get(each.source, N_("Source")),
                    SERVICE_NAMES.get(each.service, N_("service")),
                ),
                "status": each.status,
                "why": FAULTS.get(each.fault) if each.fault else None,
                "subjects": each.subjects,
                "milliseconds": each.milliseconds,
            }
            for each in answer.sources
        ],
        "silent": any(each.status == "no_answer" for each in answer.sources),
        "illustrative": any(each.mark == "illustrative" for each in answer.parameters),
        "verdict": next((each for each in fields if each["name"] == "admissible"), None),
        "parameters": [
            {
                "label": PARAMETER_NAMES.get(each.name, each.name),
                "money": Decimal(each.value) / 100 if each.unit == "eurocent" else None,
                "plain": each.value,
                "valid_from": date.fromisoformat(each.valid_from),
                "source": each.source,
                "mark": each.mark,
            }
            for each in answer.parameters
        ],
        "purpose": flow.purposes[answer.purpose],
        "authorisation_link": Markup('<a href="/register/authorisations/{}">{}</a>').format(
            answer.authorisation.number, answer.authorisation.number
        ),
        "rule_link": Markup('<a href="/rules/rule/{}?version={}">{} v{}</a>').format(
            rule, answer.rule.version or 0, rule, answer.rule.version or 0
        ),
    }


def _word(field: FieldAnswer) -> Any:
    return _WORDS.get(field.value, field.value) if isinstance(field.value, bool | str) else field.value


def _why(field: FieldAnswer) -> str | None:
    return ", ".join(field.missing) if field.missing else None


handlers = [show_form, consult]
