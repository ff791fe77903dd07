"""What the sources answered about a subject and its household, as rules of entitlement read it. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from koinon.base.text import Text
from koinon.integrator.drivers import HouseholdMember, PartialDate, SourceAnswer
from koinon.integrator.entitlement.parameters import Used
from koinon.integrator.entitlement.three import Tri
from koinon.integrator.model import FieldAnswer, FieldStatus, Parameter

PERSON, HOUSEHOLD = "rijksregister/person", "rijksregister/household"
# The one that says most about what can be done: try again, ask for leave, ask the citizen.
_BY_USE: tuple[FieldStatus, ...] = ("no_answer", "not_allowed", "no_data")
_ABSENT = object()


class Answers:
    """Looks up what was answered, and knows why something was not.

    Attributes:
        current: the number by which the subject is known now.
        household: its members, the subject first; empty where the household is not known.
        numbers: of the household; the subject alone where it is not known.
    """

    def __init__(
        self,
        subject: str,
        answers: Sequence[SourceAnswer],
        fields: Mapping[str, Iterable[str]],
        exhaustive: frozenset[str],
    ) -> None:
        """`fields` are those asked, by resource; `exhaustive` the registers that list what exists: nothing about a
        person whom they know means that there is nothing.
        """
        self._answers = answers
        self._fields = fields
        self._exhaustive = exhaustive
        self._found = {(answer.resource, answer.current_subject): answer for answer in answers}
        self.current = current_number(subject, answers)
        self.household = _household(subject, self.current, answers)
        self.numbers = tuple(member.number for member in self.household) or (self.current,)
        self.holes = self._holes()

    def find(self, resource: str, number: str | None = None) -> SourceAnswer | None:
        """The answer about that person, or about the subject."""
        return self._found.get((resource, number or self.current))

    def values(self, resource: str, number: str | None = None) -> Mapping[str, Any]:
        """The values that were answered; empty where there are none."""
        answer = self.find(resource, number)
        return answer.values if answer is not None and answer.status == "data" else {}

    def has_none(self, resource: str, number: str | None = None) -> bool:
        """Whether an exhaustive register knows the person and has nothing on it."""
        answer = self.find(resource, number)
        return (
            answer is not None
            and answer.status == "no_data"
            and answer.fault is None
            and resource in self._exhaustive
        )

    def flag(self, resource: str, number: str, field: str) -> Tri:
        """Yes, no, or unknown."""
        if self.has_none(resource, number):
            return False
        value = self.values(resource, number).get(field)
        return value if isinstance(value, bool) else None

    def alive(self) -> Tri:
        """Whether the subject lives, according to the National Register."""
        values = self.values(PERSON)
        return values["death_date"] is None if "death_date" in values else None

    def birth_date(self) -> PartialDate | None:
        """The subject's, as the National Register has it."""
        born = self.values(PERSON).get("birth_date")
        return born if isinstance(born, PartialDate) else None

    def asked(self, resource: str) -> bool:
        """Whether the resource was asked at all."""
        return any(answer.resource == resource for answer in self._answers)

    def field(self, value: object, needs: Sequence[str], explanation: tuple[Text, ...] = ()) -> FieldAnswer:
        """The value; or why there is none, with those of `needs` (`resource.field`) that are missing."""
        if value is not None:
            return FieldAnswer(status="value", value=value, explanation=explanation)
        missing = tuple(need for need in needs if need in self.holes)
        statuses = {self.holes[need] for need in missing}
        status: FieldStatus = next((each for each in _BY_USE if each in statuses), "unknown")
        return FieldAnswer(status=status, missing=missing, explanation=explanation)

    def _holes(self) -> Mapping[str, str]:
        """Why data are missing, by `resource.field`: the status of the first answer that lacks them."""
        holes: dict[str, str] = {}
        for answer in self._answers:
            if answer.status == "data":
                for field in self._fields.get(answer.resource, ()):
                    value = answer.values.get(field, _ABSENT)
                    if value is _ABSENT or (isinstance(value, PartialDate) and not value.complete):
                        holes.setdefault(f"{answer.resource}.{field}", "unknown")
            elif answer.status != "no_data" or answer.fault or answer.resource not in self._exhaustive:
                for field in self._fields.get(answer.resource, ()):
                    holes.setdefault(f"{answer.resource}.{field}", answer.status)
        return holes


def find_members(about: str, subject: str, answers: Sequence[SourceAnswer]) -> Sequence[str]:
    """The numbers of the subject's household, the subject first; the subject alone where it is not known."""
    current = current_number(subject, answers)
    return tuple(member.number for member in _household(subject, current, answers)) or (current,)


def current_number(subject: str, answers: Iterable[SourceAnswer]) -> str:
    """The number that took the place of `subject`, where the National Register says so."""
    for answer in answers:
        if answer.resource in (PERSON, HOUSEHOLD) and answer.subject == subject and answer.replaced_by:
            return answer.replaced_by
    return subject


@lru_cache(maxsize=4096)
def parameter(used: Used) -> Parameter:
    """As an answer names it."""
    return Parameter(
        name=used.code,
        value=str(used.value),
        unit=used.unit,
        valid_from=used.valid_from.isoformat(),
        source=used.source,
        mark=used.mark,
    )


def _household(subject: str, current: str, answers: Sequence[SourceAnswer]) -> Sequence[HouseholdMember]:
    for answer in answers:
        if answer.resource == HOUSEHOLD and answer.subject == subject and answer.status == "data":
            members = answer.values.get("members")
            known = (
                [one for one in members if isinstance(one, HouseholdMember)]
                if isinstance(members, tuple)
                else []
            )
            return sorted(known, key=lambda member: member.number != current)
    return ()
