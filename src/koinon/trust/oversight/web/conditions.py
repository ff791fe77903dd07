"""Conditions of an authorisation, in words and in a form."""

from collections.abc import Mapping

from koinon.base.errors import Invalid
from koinon.base.text import Text
from koinon.portal import N_
from koinon.trust.agreements import (
    CaseRequired,
    Condition,
    KeptAtMost,
    NotPassedOn,
    OnlyProfiles,
    RegisteredSubject,
    SecondPerson,
    SubjectsAtMost,
)
from koinon.trust.parties import PROFILES

LABELS = {
    "case_required": N_("Each question names its case"),
    "registered_subject": N_("The subject stands in the reference directory"),
    "second_person": N_("A second person confirms each question"),
    "not_passed_on": N_("What was received is not passed on"),
}


def describe_condition(condition: Condition) -> Text:
    """The condition as a sentence in three languages."""
    match condition:
        case CaseRequired():
            return Text(
                "Elke vraag vermeldt haar dossier",
                "Chaque demande mentionne son dossier",
                "Each question names its case",
            )
        case RegisteredSubject():
            return Text(
                "De betrokkene staat in het verwijzingsrepertorium",
                "La personne concernée figure dans le répertoire des références",
                "The subject stands in the reference directory",
            )
        case SecondPerson():
            return Text(
                "Een tweede persoon bevestigt elke vraag",
                "Une seconde personne confirme chaque demande",
                "A second person confirms each question",
            )
        case NotPassedOn():
            return Text(
                "Wat ontvangen werd, wordt niet doorgegeven",
                "Les données reçues ne sont pas transmises à des tiers",
                "What was received is not passed on",
            )
        case KeptAtMost(days):
            return Text(
                f"Wat ontvangen werd, wordt na {days} dagen gewist",
                f"Les données reçues sont effacées après {days} jours",
                f"What was received is deleted after {days} days",
            )
        case SubjectsAtMost(count):
            return Text(
                f"Hoogstens {count} betrokkenen per vraag",
                f"Au plus {count} personnes concernées par demande",
                f"At most {count} subjects in one question",
            )
        case OnlyProfiles(profiles):
            known = [PROFILES.get(code, Text(code, code, code)) for code in profiles]
            return Text(
                "Alleen voor: " + ", ".join(each.nl for each in known),
                "Uniquement pour : " + ", ".join(each.fr for each in known),
                "Only for: " + ", ".join(each.en for each in known),
            )


def read_conditions(form: Mapping[str, str]) -> tuple[Condition, ...]:
    """The conditions that a form's fields say.

    Raises:
        Invalid: `authorisation_malformed` for a number of days or subjects that is none.
    """
    found: list[Condition] = []
    plain: dict[str, Condition] = {
        "case_required": CaseRequired(),
        "registered_subject": RegisteredSubject(),
        "second_person": SecondPerson(),
        "not_passed_on": NotPassedOn(),
    }
    found += [condition for name, condition in plain.items() if form.get(name)]
    if days := form.get("kept_at_most", "").strip():
        found.append(KeptAtMost(_whole(days)))
    if count := form.get("subjects_at_most", "").strip():
        found.append(SubjectsAtMost(_whole(count)))
    if profiles := form.get("only_profiles", "").split():
        if unknown := [code for code in profiles if code not in PROFILES]:
            raise Invalid("authorisation_malformed", why=f"no profile: {unknown[0]}")
        found.append(OnlyProfiles(tuple(profiles)))
    return tuple(found)


def _whole(text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 100_000:
        raise Invalid("authorisation_malformed", why="not a number above zero")
    return int(text)
