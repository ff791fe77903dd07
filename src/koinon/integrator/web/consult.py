"""Pages of the integrator: consult."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import msgspec
from litestar import Request, get, post
from litestar.di import NamedDependency
from markupsafe import Markup

from koinon.base.clock import Clock, civil_date
from koinon.base.errors import Invalid, KoinonError, NotAllowed, NotFound
from koinon.base.text import LANGUAGES, Language, Text
from koinon.integrator.drivers import FAULTS
from koinon.integrator.model import ExchangeAnswer, ExchangeRequest, FieldAnswer, Flow
from koinon.integrator.procedures.letters import Letter, has_letter, write_letter
from koinon.integrator.service import Integrator, answer_of
from koinon.portal import N_, Message, NavigationItem, Viewer, render
from koinon.trust.gate import Actor, Ask
from koinon.trust.gate.edge import Governed, only_governed
from koinon.trust.parties.sign_in import Session
from koinon.trust.standing import Standing

SOURCE_NAMES = {
    "rijksregister": N_("National Register"),
    "ksz": N_("Crossroads Bank for Social Security"),
    "kbo": N_("Crossroads Bank for Enterprises"),
    "candidates": N_("Regional register of candidates"),
    "dwellings": N_("Register of dwellings"),
    "taxi": N_("Taxi register"),
    "rsz": N_("National Social Security Office"),
    "disability": N_("Recognition of disabilities"),
    "debts": N_("Announcements on this platform"),
}
SERVICE_NAMES = {
    "person": N_("person"),
    "household": N_("household"),
    "income": N_("income"),
    "property": N_("rights in property"),
    "functions": N_("functions in enterprises"),
    "social_status": N_("social status"),
    "application": N_("applications"),
    "tenancy": N_("tenancy"),
    "driver": N_("driver"),
    "rides": N_("time driven"),
    "taxi_work": N_("declared work"),
    "recognition": N_("yes or no on each ground"),
    "claims": N_("answers of creditors"),
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
    "reference_income": N_("reference income"),
    "minimum_rent": N_("minimum rent a month"),
    "child_reduction_1": N_("reduction for one child, percent of the base rent"),
    "child_reduction_2": N_("reduction for two children, percent of the base rent"),
    "child_reduction_3": N_("reduction for three children, percent of the base rent"),
    "child_reduction_4": N_("reduction for four children, percent of the base rent"),
    "child_reduction_5": N_("reduction for five children, percent of the base rent"),
    "child_reduction_6": N_("reduction for six children or more, percent of the base rent"),
    "disabled_adult_reduction": N_("reduction for each disabled adult, percent of the base rent"),
    "half_of_base_rent": N_("lowest share of the base rent, percent"),
    "share_lower": N_("highest share of a lower income, percent"),
    "share_middle": N_("highest share of a middle income, percent"),
    "share_highest": N_("highest share of any other income, percent"),
    "minimum_prevails": N_("the minimum goes before the share of income (1: yes)"),
    "rent_income_years_back": N_("years between rent and income"),
    "income_fall": N_("fall of income that counts, percent"),
    "over_adapted_bedrooms": N_("bedrooms too many from which a dwelling is too large"),
    "over_adapted_share": N_("supplement for each bedroom too many, percent of income"),
    "over_adapted_cap": N_("highest yearly supplement for a bedroom"),
    "over_adapted_exempt_age": N_("age from which no supplement is due"),
    "answer_term_regional_tax": N_("term of the Region, working days"),
    "answer_term_municipal_tax": N_("term of a municipality, working days"),
    "interest_regional_tax": N_("yearly interest of the Region, hundredths of a percent"),
    "interest_municipal_tax": N_("yearly interest of a municipality, hundredths of a percent"),
    "announcement_holds": N_("months that an announcement holds"),
    "payment_term": N_("term of payment after the deed, working days"),
    "gap_tolerance": N_("days without a declaration that raise no question"),
    "driven_tolerance": N_("driven above declared time that raises no question, percent"),
    "full_time_quarter": N_("minutes of full-time work in a quarter"),
    "parking_points": N_("points that give a parking card"),
    "parking_moving_points": N_("points on moving that give a parking card"),
    "companion_points": N_("points that give a free companion"),
    "companion_points_young": N_("points that give a young person a free companion"),
    "companion_young_age": N_("age until which fewer points are enough"),
    "tax_points": N_("points that count for the tax"),
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
    session: NamedDependency[Session],
    integrator: NamedDependency[Integrator],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
) -> Any:
    """The question form, with what this person's party may ask now."""
    return _form(
        request, integrator, _askable(integrator, standing, actor_of(session), clock), ConsultForm(), {}
    )


@post("/consult", status_code=200, opt={"governed": True}, after_request=only_governed)
async def consult(
    request: Request[Any, Any, Any],
    session: NamedDependency[Session],
    integrator: NamedDependency[Integrator],
    standing: NamedDependency[Standing],
    clock: NamedDependency[Clock],
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
                explain=True,
            ),
            actor,
        )
    except (Invalid, NotFound) as error:
        askable = _askable(integrator, standing, actor, clock)
        return Governed.of(error, _form(request, integrator, askable, form, _field_errors(error)))
    except KoinonError as error:
        return Governed.of(error, _refused(request, error))
    answer = answer_of(exchange)
    return Governed.of(
        exchange.released,
        render(
            request,
            "integrator/answer.html",
            letter=_letter(answer, standing.register.parties[actor.party].name, clock),
            **_shown(answer, exchange.flow),
        ),
    )


def _askable(integrator: Integrator, standing: Standing, actor: Actor, clock: Clock) -> list[Flow]:
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
                standing.find_grounds(ask, clock.now())
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
        {
            "name": name,
            "label": label,
            "status": field.status,
            "shown": _word(field),
            "money": Decimal(field.value) / 100 if name in flow.cents and field.value is not None else None,
            "day": field.value if isinstance(field.value, date) else None,
            "rows": len(field.value) if isinstance(field.value, tuple) else None,
            "why": _why(field),
            "sentences": field.explanation,
        }
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
                "cached": each.cached,
                "age": round(each.age_seconds),
            }
            for each in answer.sources
        ],
        "notes": () if answer.notes is msgspec.UNSET else answer.notes,
        "silent": any(each.status == "no_answer" for each in answer.sources),
        "illustrative": any(each.mark == "illustrative" for each in answer.parameters),
        "verdict": next((each for each in fields if each["name"] == flow.verdict), None),
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


def _letter(answer: ExchangeAnswer, party: Text, clock: Clock) -> Mapping[Language, Letter] | None:
    """The letter that may follow, in each language: the citizen's need not be the official's."""
    if not has_letter(answer.flow):
        return None
    notes = () if answer.notes is msgspec.UNSET else tuple(answer.notes)
    return {
        language: write_letter(
            answer.flow,
            answer.answer,
            notes,
            case=answer.case,
            party=party,
            on=civil_date(clock.now()),
            language=language,
        )
        for language in LANGUAGES
    }


def _word(field: FieldAnswer) -> Any:
    return _WORDS.get(field.value, field.value) if isinstance(field.value, bool | str) else field.value


def _why(field: FieldAnswer) -> str | None:
    return ", ".join(field.missing) if field.missing else None


handlers = [show_form, consult]
