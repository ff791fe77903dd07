"""Properties of the pure decisions: a right never grows when something goes, and ends when it says."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import KoinonError
from koinon.base.text import Text
from koinon.trust.parties import (
    Charter,
    CharterSignature,
    Identity,
    Party,
    Person,
    Register,
    Role,
    Training,
    check_party,
    check_person,
)

PARTY = UUID(int=1)
PERSON = UUID(int=2)
days = st.dates(date(2026, 1, 1), date(2026, 3, 31))
moments = st.datetimes(
    datetime(2026, 1, 1),  # noqa: DTZ001 (bounds are naive, the values are UTC)
    datetime(2026, 3, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
)


@st.composite
def registers(draw):
    start = draw(days)
    roles = tuple(
        Role(profile="case_handler", valid_from=draw(days), valid_until=draw(st.none() | days))
        for _ in range(draw(st.integers(0, 3)))
    )
    completed = draw(days)
    person = Person(
        id=PERSON,
        party=PARTY,
        name="x",
        language="nl",
        roles=roles,
        charter=draw(
            st.none() | st.builds(CharterSignature, version=st.sampled_from(["1", "2"]), signed_at=moments)
        ),
        training=draw(
            st.none()
            | st.just(
                Training(completed_on=completed, valid_until=completed + timedelta(draw(st.integers(1, 60))))
            )
        ),
        active=draw(st.booleans()) or draw(st.booleans()),
    )
    text = Text("a", "b", "c")
    charters = [Charter(version="1", valid_from=date(2026, 1, 1), text=text)]
    if draw(st.booleans()):
        charters.append(Charter(version="2", valid_from=draw(days), text=text))
    party = Party(
        id=PARTY,
        enterprise_number="0403019261",
        name=text,
        kind="school",
        joined_on=start,
        left_on=draw(st.none() | st.just(start + timedelta(20))),
    )
    return Register.of(parties=[party], persons=[person], charters=charters)


def allows(register: Register, at: datetime) -> bool:
    try:
        check_party(register, PARTY, at)
        check_person(register, PARTY, PERSON, "case_handler", at)
    except KoinonError:
        return False
    return True


@given(registers(), moments)
def test_what_holds_now_holds_until_the_moment_it_gives_and_the_answer_changes_there(register, at):
    try:
        until = check_person(register, PARTY, PERSON, "case_handler", at)
    except KoinonError:
        return
    if until is None:
        assert allows_person(register, at + timedelta(days=1000))
        return
    assert until > at
    assert allows_person(register, until - timedelta(microseconds=1))
    later = _until(register, until)
    # At that moment the first ground ended: what still holds rests on another role.
    assert later is False or later is None or later > until


def allows_person(register: Register, at: datetime) -> bool:
    return _until(register, at) is not False


def _until(register, at):
    try:
        return check_person(register, PARTY, PERSON, "case_handler", at)
    except KoinonError:
        return False


@given(registers(), moments, st.sampled_from(["role", "charter", "training", "active", "party", "person"]))
def test_taking_something_away_never_allows_more(register, at, what):
    person = register.persons[PERSON]
    less = {
        "role": lambda: msgspec.structs.replace(person, roles=person.roles[:-1]),
        "charter": lambda: msgspec.structs.replace(person, charter=None),
        "training": lambda: msgspec.structs.replace(person, training=None),
        "active": lambda: msgspec.structs.replace(person, active=False),
    }
    if what == "party":
        changed = msgspec.structs.replace(register, parties={})
    elif what == "person":
        changed = msgspec.structs.replace(register, persons={})
    else:
        changed = msgspec.structs.replace(register, persons={PERSON: less[what]()})
    assert allows(register, at) or not allows(changed, at)


def test_two_persons_with_one_identity_are_one_human():
    one, two, three = UUID(int=1), UUID(int=2), UUID(int=3)
    register = Register.of(
        identities=[
            Identity(issuer="i", subject="s", person=one),
            Identity(issuer="i", subject="s", person=two),
            Identity(issuer="j", subject="s", person=three),
        ]
    )
    assert register.same_human(one, two)
    assert register.same_human(three, three)
    assert not register.same_human(one, three)
