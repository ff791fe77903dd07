"""Three parties with keys, a convention between two or three of them, an authorisation."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from koinon.base.crypto import SigningKey
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.trust.agreements import (
    Accession,
    Authorisation,
    Convention,
    ConventionParty,
    MatrixRow,
    Word,
    rules_digest,
    sign_statement,
    state,
)
from koinon.trust.agreements.conditions import CaseRequired, KeptAtMost
from koinon.trust.parties import Key, KeyUse, Party, PartyId, Register

SIGNED = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
RULES = Text("Reglement", "Règlement", "Rules")


class Parties:
    """`integrator`, `housing` and `later`, each with a convention-signing key."""

    NAMES = ("integrator", "housing", "later")
    NUMBERS = ("0240678477", "0403101811", "0202239951")

    def __init__(self) -> None:
        self.id = {name: PartyId(new_id()) for name in self.NAMES}
        self.key = {name: SigningKey.generate() for name in self.NAMES}

    def parties(self) -> list[Party]:
        return [
            Party(
                id=self.id[name],
                enterprise_number=number,
                name=Text(name, name, name),
                kind="integrator" if name == "integrator" else "social_housing_company",
                joined_on=date(2026, 1, 1),
                demo=True,
            )
            for name, number in zip(self.NAMES, self.NUMBERS, strict=True)
        ]

    def signing_keys(self, **changes: Any) -> list[Key]:
        return [
            Key(
                **{
                    "kid": self.key[name].key_id,
                    "public": self.key[name].verify_key.public,
                    "party": self.id[name],
                    "use": KeyUse.CONVENTION_SIGNING,
                    "valid_from": date(2026, 1, 1),
                    **changes,
                }
            )
            for name in self.NAMES
        ]

    def register(self, **changes: Any) -> Register:
        return Register.of(parties=self.parties(), keys=self.signing_keys(**changes))

    def member(self, name: str) -> ConventionParty:
        return ConventionParty(self.id[name], self.key[name].key_id)

    def convention(self, *names: str, **changes: Any) -> Convention:
        return Convention(
            **{
                "id": "social-dwelling",
                "version": 1,
                "title": Text("Overeenkomst", "Convention", "Convention"),
                "parties": tuple(self.member(name) for name in names or ("integrator", "housing")),
                "matrix": (
                    MatrixRow("housing_manager", "consult", "flow/social-dwelling-admission"),
                    MatrixRow("control_room_operator", "view_live", "cameras/*"),
                ),
                "valid_from": date(2026, 11, 1),
                "valid_until": date(2028, 1, 1),
                "rules_digest": rules_digest(RULES),
                "notice_days": 90,
                "accession": Accession.ALL,
                **changes,
            }
        )

    def say(
        self,
        name: str,
        word: Word,
        convention: Convention,
        at: datetime = SIGNED,
        *,
        key: SigningKey | None = None,
        acceding: str | None = None,
    ) -> str:
        statement = state(
            convention, word, self.id[name], at, self.member(acceding) if acceding is not None else None
        )
        return sign_statement(statement, key or self.key[name])

    def authorisation(self, **changes: Any) -> Authorisation:
        return Authorisation(
            **{
                "number": "2026/014",
                "title": Text("Toelating", "Admission", "Admission"),
                "beneficiary": self.id["housing"],
                "purposes": ("social_dwelling_admission",),
                "resources": {
                    "flow/social-dwelling-admission": ("income_condition_met", "property_condition_met"),
                    "ksz/*": ("income",),
                },
                "actions": ("consult",),
                "conditions": (CaseRequired(), KeptAtMost(365)),
                "valid_from": date(2026, 11, 1),
                "valid_until": date(2027, 11, 1),
                "articles": ("test art. 1",),
                "text": Text("Beraadslaging", "Délibération", "Deliberation"),
                **changes,
            }
        )


@pytest.fixture
def parties() -> Parties:
    return Parties()


@pytest.fixture
def rules() -> Text:
    return RULES


@pytest.fixture
def signed_on() -> datetime:
    return SIGNED
