"""The closed vocabulary of conditions that an authorisation may carry.

A condition the gate can see to is checked by `find_unmet`; one that binds the receiver afterwards is a duty
and is told with every answer. What is not in this vocabulary cannot be granted: a condition that nobody
checks is none.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec


class OnlyProfiles(
    msgspec.Struct, frozen=True, tag="only_profiles", tag_field="kind", forbid_unknown_fields=True
):
    """Only persons with one of these profiles ask."""

    profiles: tuple[str, ...]


class CaseRequired(
    msgspec.Struct, frozen=True, tag="case_required", tag_field="kind", forbid_unknown_fields=True
):
    """Each question names the case it is asked for."""


class RegisteredSubject(
    msgspec.Struct, frozen=True, tag="registered_subject", tag_field="kind", forbid_unknown_fields=True
):
    """Each subject stands in the reference directory for this party and purpose."""


class SubjectsAtMost(
    msgspec.Struct, frozen=True, tag="subjects_at_most", tag_field="kind", forbid_unknown_fields=True
):
    """One question is about at most so many subjects."""

    count: int


class SecondPerson(
    msgspec.Struct, frozen=True, tag="second_person", tag_field="kind", forbid_unknown_fields=True
):
    """Another human of the party confirms the question before it is answered."""


class KeptAtMost(
    msgspec.Struct, frozen=True, tag="kept_at_most", tag_field="kind", forbid_unknown_fields=True
):
    """A duty of the receiver: what was received is deleted after so many days."""

    days: int


class NotPassedOn(
    msgspec.Struct, frozen=True, tag="not_passed_on", tag_field="kind", forbid_unknown_fields=True
):
    """A duty of the receiver: what was received is given to nobody else."""


Condition = (
    OnlyProfiles | CaseRequired | RegisteredSubject | SubjectsAtMost | SecondPerson | KeptAtMost | NotPassedOn
)
Duty = KeptAtMost | NotPassedOn


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate knows of one question. What it does not know is false, and so not met.

    Attributes:
        reason: whether a written reason was given.
        second_person: whether another human of the party confirmed it.
        images_since: the oldest moment of which images are asked; None with `live`, or where no image is asked.
        live: images of the moment itself are asked.
        territories: where the camera stands: codes of its municipality and its zone.
        at_work_station: asked from a registered work station of the party's control centre.
        emergency: somebody declared an emergency.
    """

    profile: str = ""
    purpose: str = ""
    case: str = ""
    reason: bool = False
    subjects: int = 0
    registered: bool = False
    second_person: bool = False
    images_since: datetime | None = None
    live: bool = False
    territories: frozenset[str] = frozenset()
    at_work_station: bool = False
    emergency: bool = False

    def image_age(self, at: datetime) -> timedelta | None:
        """How old the oldest image is that is asked; None when unknown."""
        if self.live:
            return timedelta()
        return None if self.images_since is None else at - self.images_since


def find_unmet(conditions: Iterable[Condition], facts: Circumstances) -> str | None:
    """The code of the first condition that is not met, `None` when all are; duties are met by definition.

    Codes: `profile_not_authorised`, `case_missing`, `subject_not_registered`, `too_many_subjects`,
    `second_person_missing`.
    """
    for condition in conditions:
        match condition:
            case OnlyProfiles(profiles) if facts.profile not in profiles:
                return "profile_not_authorised"
            case CaseRequired() if not facts.case.strip():
                return "case_missing"
            case RegisteredSubject() if not facts.registered:
                return "subject_not_registered"
            case SubjectsAtMost(count) if facts.subjects > count:
                return "too_many_subjects"
            case SecondPerson() if not facts.second_person:
                return "second_person_missing"
            case _:
                pass
    return None


def list_duties(conditions: Iterable[Condition]) -> tuple[Duty, ...]:
    """What binds the receiver after the answer."""
    return tuple(condition for condition in conditions if isinstance(condition, Duty))
