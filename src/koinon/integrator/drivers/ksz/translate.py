"""Between the envelopes of social security and our values. Pure.

The envelope has the parts that the Crossroads Bank's common types prescribe (CommonV3, version 3.3):
`informationCustomer` with ticket and organisation, `informationCBSS`, `legalContext` (mandatory, at most 64
characters), `status` with DATA_FOUND, NO_DATA_FOUND or NO_RESULT. Operations and reason codes are those of
the simulated network in `src/koinon/demo/sources/ksz`.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal

import msgspec
from lxml import etree

from koinon.base.errors import Invalid
from koinon.integrator.drivers.driver import Context, Reply, Service, Status, WireFault, fields_of
from koinon.integrator.drivers.numbers import is_national_number
from koinon.integrator.drivers.values import PartialDate, Value
from koinon.integrator.drivers.wires.soap import SoapFault
from koinon.integrator.drivers.wires.xml import escaped, find_text, text_of

NAMESPACE = "urn:koinon:demo:ksz:v1"
KSZ = "ksz"
"""The Crossroads Bank itself (act of 15 January 1990)."""
FINANCE = "fps_finance"
"""FPS Finance, keeper of tax assessments and of the patrimonial documentation."""

OPERATIONS = {
    "income": "ConsultIncome",
    "property": "ConsultProperty",
    "social_status": "ConsultSocialStatus",
}
AT_ONCE = 10


SERVICES: Mapping[str, Service] = {
    "income": Service(
        "income",
        "person",
        fields_of(
            FINANCE,
            (
                "net_taxable_income",
                "cents",
                "netto belastbaar inkomen",
                "revenu net imposable",
                "net taxable income",
            ),
        ),
        AT_ONCE,
    ),
    "property": Service(
        "property",
        "person",
        fields_of(
            FINANCE,
            ("full_ownership", "flag", "volle eigendom", "pleine propriété", "full ownership"),
            ("usufruct", "flag", "vruchtgebruik", "usufruit", "usufruct"),
            ("emphyteusis", "flag", "erfpacht", "emphytéose", "long lease"),
        ),
        AT_ONCE,
    ),
    "social_status": Service(
        "social_status",
        "person",
        fields_of(
            KSZ,
            ("dependent_child", "flag", "kind ten laste", "enfant à charge", "dependent child"),
            ("disabled", "flag", "erkende handicap", "handicap reconnu", "recognised disability"),
        ),
        AT_ONCE,
    ),
}

_RIGHTS = frozenset({"full_ownership", "bare_ownership", "usufruct", "emphyteusis", "superficies"})
_REFUSALS: Mapping[str, tuple[Status, str]] = {
    "REF00001": ("not_allowed", "not_registered"),
    "LEG00001": ("not_allowed", "purpose_refused"),
    "LEG00002": ("not_allowed", "purpose_refused"),
    "SSIN0001": ("no_data", "unknown_subject"),
}


class CardProof(msgspec.Struct, frozen=True):
    """Proof that the person presented himself: the number of his identity card."""

    card_number: str


class IdentityProof(msgspec.Struct, frozen=True):
    """Proof that the person is known: name and birth date, which must match the register's."""

    last_name: str
    first_name: str | None
    birth_date: PartialDate


class Registration(msgspec.Struct, frozen=True):
    """A line of the reference directory that a party asks for or gives up.

    Attributes:
        valid_until: exclusive; None where the file has no known end.
    """

    subject: str
    action: Literal["register", "unregister"]
    valid_from: date
    valid_until: date | None
    proof: CardProof | IdentityProof


class Registered(msgspec.Struct, frozen=True):
    """Whether the directory did as asked: `refused` comes with its reason code in `detail`."""

    status: Literal["done", "refused", "no_answer"]
    fault: str | None = None
    detail: str = ""
    reference: str | None = None


def request(service: str, subjects: Sequence[str], context: Context, sent_at: datetime) -> str:
    """The body that asks a service about `subjects`.

    Raises:
        Invalid: `missing_parameter`: `income` without `income_year`.
    """
    criteria = "".join(f"<ssin>{subject}</ssin>" for subject in subjects)
    if service == "income":
        year = context.parameters.get("income_year", "")
        if len(year) != 4 or not year.isdecimal():
            raise Invalid("missing_parameter", source="ksz", service=service, parameter="income_year")
        criteria += f"<incomeYear>{year}</incomeYear>"
    name = f"{OPERATIONS[service]}Request"
    return (
        f'<k:{name} xmlns:k="{NAMESPACE}">{_head(context, sent_at)}<criteria>{criteria}</criteria></k:{name}>'
    )


def registration_request(registration: Registration, context: Context, sent_at: datetime) -> str:
    """The body that registers or unregisters a person."""
    proof = registration.proof
    if isinstance(proof, CardProof):
        evidence = f"<identityCardNumber>{escaped(proof.card_number)}</identityCardNumber>"
    else:
        first = f"<firstName>{escaped(proof.first_name)}</firstName>" if proof.first_name else ""
        evidence = (
            f"<personData><lastName>{escaped(proof.last_name)}</lastName>{first}"
            f"<birthDate>{proof.birth_date}</birthDate></personData>"
        )
    # Our `valid_until` is exclusive; the network's endDate is the last day.
    last = registration.valid_until - timedelta(days=1) if registration.valid_until else None
    end = f"<endDate>{last}</endDate>" if last else ""
    return (
        f'<k:ManageAccessRequest xmlns:k="{NAMESPACE}">{_head(context, sent_at)}'
        f"<registration><ssin>{registration.subject}</ssin><action>{registration.action.upper()}</action>"
        f"<period><beginDate>{registration.valid_from}</beginDate>{end}</period>"
        f"<proofOfAuthentication>{evidence}</proofOfAuthentication></registration></k:ManageAccessRequest>"
    )


def read(service: str, answer: etree._Element, context: Context) -> Sequence[Reply]:
    """What the answer says, about whomever it says it.

    Raises:
        WireFault: `garbage`, also where the answer is for another organisation, purpose or ticket than ours.
    """
    reference = _envelope(answer, f"{OPERATIONS[service]}Response", context)
    return [_result(service, result, reference, context) for result in answer.findall("result")]


def read_registration(answer: etree._Element, context: Context) -> Registered:
    """Whether the directory did as asked.

    Raises:
        WireFault: `garbage`.
    """
    reference = _envelope(answer, "ManageAccessResponse", context)
    value, code = text_of(answer, "status/value"), text_of(answer, "status/code")
    if value == "OK":
        return Registered("done", reference=reference)
    if value != "NOK":
        raise WireFault("garbage", "status")
    return Registered("refused", "source_fault", code[:16], reference)


def fault(found: SoapFault) -> WireFault:
    """The network's fault in our words: a refusal where its reason code is one, else a fault of the
    source.
    """
    code = (found.element.findtext("detail/{*}cbssFault/detail/reasonCode") or "").strip()[:16]
    if code in _REFUSALS:
        status, ours = _REFUSALS[code]
        return WireFault(ours, code, status=status)
    return WireFault("source_fault", code)


def _head(context: Context, sent_at: datetime) -> str:
    sent = sent_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return (
        f"<informationCustomer><ticket>{context.exchange}</ticket><timestampSent>{sent}</timestampSent>"
        f"<customerIdentification><cbeNumber>{context.party}</cbeNumber></customerIdentification>"
        f"</informationCustomer><legalContext>{escaped(context.purpose)}</legalContext>"
    )


def _envelope(answer: etree._Element, name: str, context: Context) -> str:
    if answer.tag != f"{{{NAMESPACE}}}{name}":
        raise WireFault("garbage", "element")
    if (
        text_of(answer, "informationCustomer/ticket") != str(context.exchange)
        or text_of(answer, "informationCustomer/customerIdentification/cbeNumber") != context.party
        or text_of(answer, "legalContext") != context.purpose
    ):
        raise WireFault("garbage", "echo")
    return text_of(answer, "informationCBSS/ticketCBSS")[:36]


def _result(service: str, result: etree._Element, reference: str, context: Context) -> Reply:
    subject = text_of(result, "ssin")
    value, code = text_of(result, "status/value"), text_of(result, "status/code")[:16]
    if value == "DATA_FOUND":
        return Reply(subject=subject, values=_READERS[service](result, context), reference=reference)
    if value == "NO_DATA_FOUND":
        return Reply(subject=subject, status="no_data", detail=code, reference=reference)
    if value != "NO_RESULT":
        raise WireFault("garbage", "status")
    if code == "SSIN0002":
        replacement = text_of(result, "replacedBy")
        if not is_national_number(replacement):
            raise WireFault("garbage", "number")
        return Reply(subject=subject, replaced_by=replacement, reference=reference)
    if code in _REFUSALS:
        status, fault = _REFUSALS[code]
        return Reply(subject=subject, status=status, fault=fault, detail=code, reference=reference)
    return Reply(subject=subject, status="no_answer", fault="source_fault", detail=code, reference=reference)


def _income(result: etree._Element, context: Context) -> dict[str, Value]:
    if text_of(result, "income/year") != context.parameters.get("income_year"):
        raise WireFault("garbage", "year")
    return {"net_taxable_income": _natural(text_of(result, "income/netTaxableEurocent"))}


def _property(result: etree._Element, context: Context) -> dict[str, Value]:
    kinds = [text_of(right, "kind") for right in result.findall("right")]
    if not kinds or not set(kinds) <= _RIGHTS:
        raise WireFault("garbage", "right")
    return {kind: kind in kinds for kind in ("full_ownership", "usufruct", "emphyteusis")}


def _social_status(result: etree._Element, context: Context) -> dict[str, Value]:
    values: dict[str, Value] = {}
    for field, name in (("dependent_child", "dependentChild"), ("disabled", "disabled")):
        text = find_text(result, f"socialStatus/{name}")
        if text is not None:
            values[field] = _flag(text)
    return values


_READERS = {"income": _income, "property": _property, "social_status": _social_status}


def _natural(text: str) -> int:
    # CommonV3 EurocentPositiveAmountType: below 10^17.
    if not (text.isascii() and text.isdigit()) or len(text) > 17:
        raise WireFault("garbage", "amount")
    return int(text)


def _flag(text: str) -> bool:
    if text not in ("true", "false", "1", "0"):
        raise WireFault("garbage", "flag")
    return text in ("true", "1")
