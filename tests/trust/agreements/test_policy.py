"""What agreements mean at an instant."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.clock import start_of
from koinon.base.crypto import SigningKey, jws_sign
from koinon.base.errors import Invalid, NotAllowed
from koinon.base.text import Text
from koinon.trust.agreements import (
    Accession,
    Agreements,
    Bindings,
    Circumstances,
    Convention,
    ConventionState,
    Cover,
    MatrixRow,
    Word,
    authorised_fields,
    bind,
    check_authorised,
    convention_state,
    find_unmet,
    list_duties,
)
from koinon.trust.agreements.conditions import (
    CaseRequired,
    Condition,
    KeptAtMost,
    NotPassedOn,
    OnlyProfiles,
    RegisteredSubject,
    SecondPerson,
    SubjectsAtMost,
)
from koinon.trust.agreements.policy import (
    check_authorisation_document,
    check_convention_document,
    is_pattern,
    matches,
    read_statement,
)
from koinon.trust.parties import KeyUse

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
ASKED = ("housing_manager", "consult", "flow/social-dwelling-admission")


def agreed(convention: Convention, *tokens: str, more: tuple[Convention, ...] = ()) -> Agreements:
    statements: dict[str, list[Any]] = {}
    for token in tokens:
        signed = read_statement(token)
        statements.setdefault(signed.statement.digest, []).append(signed)
    return Agreements(
        conventions={convention.id: (convention, *more)},
        statements={digest: tuple(said) for digest, said in statements.items()},
    )


def both_signed(parties: Any, convention: Convention, **rest: Any) -> tuple[str, ...]:
    return tuple(parties.say(name, Word.SIGN, convention, **rest) for name in ("integrator", "housing"))


def cover(parties: Any, bindings: Bindings, at: datetime = NOW, *names: str) -> Cover:
    wanted = [parties.id[name] for name in names or ("integrator", "housing")]
    return bindings.check_cover(wanted, *ASKED, at)


def refused(parties: Any, bindings: Bindings, at: datetime = NOW, *names: str) -> str:
    with pytest.raises(NotAllowed) as refusal:
        cover(parties, bindings, at, *names)
    return refusal.value.code


# --- conventions ----------


def test_a_convention_signed_by_all_and_advised_on_covers_until_its_last_day(parties: Any) -> None:
    convention = parties.convention()
    bindings = bind(
        agreed(convention, *both_signed(parties, convention)), parties.register(), {convention.digest}
    )
    assert cover(parties, bindings) == Cover("social-dwelling", 1, start_of(date(2028, 1, 1)))
    assert refused(parties, bindings, start_of(date(2028, 1, 1))) == "convention_missing"
    assert cover(parties, bindings, start_of(date(2028, 1, 1)) - timedelta(microseconds=1))


def test_a_convention_binds_from_the_last_signature_not_before(parties: Any, signed_on: datetime) -> None:
    convention = parties.convention()
    tokens = (
        parties.say("integrator", Word.SIGN, convention),
        parties.say("housing", Word.SIGN, convention, signed_on + timedelta(hours=2)),
    )
    bindings = bind(agreed(convention, *tokens), parties.register(), {convention.digest})
    assert refused(parties, bindings, signed_on + timedelta(hours=1)) == "convention_missing"
    assert cover(parties, bindings, signed_on + timedelta(hours=2))


def test_without_the_commissions_advice_a_convention_covers_nothing(parties: Any) -> None:
    convention = parties.convention()
    agreements = agreed(convention, *both_signed(parties, convention))
    assert refused(parties, bind(agreements, parties.register(), frozenset())) == "convention_missing"


def test_with_one_signature_missing_a_convention_covers_nothing(parties: Any) -> None:
    convention = parties.convention("integrator", "housing", "later")
    agreements = agreed(convention, *both_signed(parties, convention))
    assert refused(parties, bind(agreements, parties.register(), {convention.digest})) == "convention_missing"


def test_what_the_matrix_does_not_provide_for_is_denied(parties: Any) -> None:
    convention = parties.convention()
    bindings = bind(
        agreed(convention, *both_signed(parties, convention)), parties.register(), {convention.digest}
    )
    wanted = [parties.id["integrator"], parties.id["housing"]]
    for asked in (
        ("housing_manager", "export", "flow/social-dwelling-admission"),
        ("case_handler", "consult", "flow/social-dwelling-admission"),
        ("housing_manager", "consult", "flow/other"),
    ):
        with pytest.raises(NotAllowed, match="matrix_denies"):
            bindings.check_cover(wanted, *asked, NOW)
    assert bindings.check_cover(wanted, "control_room_operator", "view_live", "cameras/west", NOW)


def test_a_party_that_is_not_bound_is_not_covered(parties: Any) -> None:
    convention = parties.convention()
    bindings = bind(
        agreed(convention, *both_signed(parties, convention)), parties.register(), {convention.digest}
    )
    assert refused(parties, bindings, NOW, "integrator", "later") == "convention_missing"


def test_threat_signature_by_a_key_that_the_convention_does_not_name(parties: Any) -> None:
    """An operator registers a key of its own for the party and signs with it."""
    convention = parties.convention()
    planted = SigningKey.generate()
    register = parties.register()
    key = msgspec.structs.replace(
        register.keys[parties.key["housing"].key_id], kid=planted.key_id, public=planted.verify_key.public
    )
    register.keys[planted.key_id] = key
    tokens = (
        parties.say("integrator", Word.SIGN, convention),
        parties.say("housing", Word.SIGN, convention, key=planted),
    )
    assert refused(parties, bind(agreed(convention, *tokens), register, {convention.digest})) == (
        "convention_missing"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"valid_from": date(2026, 11, 25)},
        {"valid_until": date(2026, 11, 24)},
        {"revoked_at": datetime(2026, 11, 24, 8, 59, tzinfo=UTC)},
        {"use": KeyUse.REQUEST_SIGNING},
        {"public": SigningKey.generate().verify_key.public},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_key_not_in_force_for_this_when_it_signed_does_not_count(
    parties: Any, change: dict[str, Any]
) -> None:
    convention = parties.convention()
    agreements = agreed(convention, *both_signed(parties, convention))
    register = parties.register(**change)
    assert refused(parties, bind(agreements, register, {convention.digest})) == "convention_missing"


def test_a_key_revoked_after_it_signed_does_not_undo_the_signature(parties: Any, signed_on: datetime) -> None:
    convention = parties.convention()
    agreements = agreed(convention, *both_signed(parties, convention))
    register = parties.register(revoked_at=signed_on + timedelta(minutes=1))
    assert cover(parties, bind(agreements, register, {convention.digest}))


def test_a_signature_under_one_version_does_not_count_for_another(parties: Any) -> None:
    convention = parties.convention()
    wider = parties.convention(matrix=(MatrixRow("housing_manager", "consult", "flow/*"),))
    agreements = Agreements(
        conventions={wider.id: (wider,)},
        statements={wider.digest: tuple(read_statement(token) for token in both_signed(parties, convention))},
    )
    assert refused(parties, bind(agreements, parties.register(), {wider.digest})) == "convention_missing"


def test_an_amendment_takes_over_when_all_have_signed_it(parties: Any, signed_on: datetime) -> None:
    first = parties.convention()
    second = parties.convention(
        version=2, matrix=(MatrixRow("housing_manager", "export", "flow/*"),), valid_from=date(2026, 12, 1)
    )
    tokens = (*both_signed(parties, first), parties.say("integrator", Word.SIGN, second))
    advised = {first.digest, second.digest}
    half = bind(agreed(first, *tokens, more=(second,)), parties.register(), advised)
    assert cover(parties, half, datetime(2026, 12, 2, tzinfo=UTC)).version == 1
    tokens = (*tokens, parties.say("housing", Word.SIGN, second))
    bindings = bind(agreed(first, *tokens, more=(second,)), parties.register(), advised)
    assert cover(parties, bindings) == Cover("social-dwelling", 1, start_of(date(2026, 12, 1)))
    assert refused(parties, bindings, datetime(2026, 12, 2, tzinfo=UTC)) == "matrix_denies"
    wanted = [parties.id["integrator"], parties.id["housing"]]
    later = bindings.check_cover(
        wanted, "housing_manager", "export", "flow/x", datetime(2026, 12, 2, tzinfo=UTC)
    )
    assert later.version == 2


def test_after_notice_a_party_is_bound_until_the_notice_has_run(parties: Any, signed_on: datetime) -> None:
    convention = parties.convention()
    given = signed_on + timedelta(days=1)
    tokens = (*both_signed(parties, convention), parties.say("housing", Word.NOTICE, convention, given))
    agreements = agreed(convention, *tokens)
    bindings = bind(agreements, parties.register(), {convention.digest})
    end = start_of(date(2026, 11, 25) + timedelta(days=90))
    assert cover(parties, bindings).until == end
    assert refused(parties, bindings, end) == "convention_missing"
    states = [
        convention_state(agreements, bindings, convention, {convention.digest}, at)
        for at in (given + timedelta(days=1), end)
    ]
    assert states == [ConventionState.NOTICE_GIVEN, ConventionState.ENDED]


@pytest.mark.parametrize("accession", list(Accession))
def test_a_party_that_joins_is_bound_once_those_who_must_accept_it_did(
    parties: Any, signed_on: datetime, accession: Accession
) -> None:
    by = (parties.id["integrator"],) if accession is Accession.LISTED else ()
    convention = parties.convention(accession=accession, accession_by=by)
    tokens = [*both_signed(parties, convention), parties.say("later", Word.ACCEDE, convention)]
    accepting = signed_on + timedelta(minutes=30)

    def joined(at: datetime = NOW) -> bool:
        bindings = bind(agreed(convention, *tokens), parties.register(), {convention.digest})
        try:
            return bool(cover(parties, bindings, at, "integrator", "later"))
        except NotAllowed:
            return False

    assert not joined()
    tokens.append(parties.say("integrator", Word.ACCEPT, convention, accepting, acceding="later"))
    assert joined() is (accession is Accession.LISTED)
    tokens.append(parties.say("housing", Word.ACCEPT, convention, accepting, acceding="later"))
    assert joined() is (accession is not Accession.CLOSED)
    assert not joined(accepting - timedelta(seconds=1))


def test_a_party_does_not_accept_itself(parties: Any) -> None:
    convention = parties.convention(accession=Accession.LISTED, accession_by=(parties.id["integrator"],))
    tokens = (
        *both_signed(parties, convention),
        parties.say("later", Word.ACCEDE, convention),
        parties.say("later", Word.ACCEPT, convention, acceding="later"),
    )
    bindings = bind(agreed(convention, *tokens), parties.register(), {convention.digest})
    assert refused(parties, bindings, NOW, "integrator", "later") == "convention_missing"


def test_the_way_of_a_convention_from_draft_to_force(parties: Any, signed_on: datetime) -> None:
    convention = parties.convention(valid_from=date(2026, 12, 1))
    advised = {convention.digest}
    tokens = both_signed(parties, convention)
    draft = agreed(convention)
    asked = msgspec.structs.replace(draft, advice_asked={convention.digest: signed_on})
    signed = agreed(convention, *tokens)

    def state(agreements: Agreements, advised: set[str], at: datetime = NOW) -> ConventionState:
        bindings = bind(agreements, parties.register(), advised)
        return convention_state(agreements, bindings, convention, advised, at)

    assert state(draft, set()) is ConventionState.DRAFT
    assert state(asked, set()) is ConventionState.ADVICE_ASKED
    assert state(agreed(convention, tokens[0]), advised) is ConventionState.SIGNING
    assert state(signed, advised) is ConventionState.SIGNED
    assert state(signed, advised, start_of(date(2026, 12, 1))) is ConventionState.IN_FORCE
    assert state(signed, advised, start_of(date(2028, 1, 1))) is ConventionState.ENDED


@pytest.mark.parametrize(
    "change",
    [
        {"id": "Social Dwelling"},
        {"version": 2},
        {"matrix": ()},
        {"matrix": (MatrixRow("p", "a", "*"),)},
        {"valid_until": date(2026, 11, 1)},
        {"notice_days": -1},
        {"accession": Accession.LISTED},
        {"title": Text("a", "", "c")},
        {"parties": ()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_convention_that_contradicts_itself_is_refused(parties: Any, change: dict[str, Any]) -> None:
    check_convention_document(parties.convention(), None)
    with pytest.raises(Invalid, match="convention_malformed"):
        check_convention_document(parties.convention(**change), None)


def test_a_digest_names_every_word_of_a_document(parties: Any) -> None:
    convention, authorisation = parties.convention(), parties.authorisation()
    assert convention.digest != parties.convention(notice_days=91).digest
    assert authorisation.digest != parties.authorisation(actions=("consult", "export")).digest
    assert authorisation.digest != parties.authorisation(text=Text("a", "b", "c")).digest
    again = msgspec.json.decode(authorisation.canonical, type=type(authorisation))
    assert again == authorisation and again.digest == authorisation.digest


def test_what_is_not_a_statement_is_refused(parties: Any) -> None:
    convention, key = parties.convention(), parties.key["housing"]
    good = read_statement(parties.say("housing", Word.SIGN, convention)).statement
    for token in (
        "a.b.c",
        jws_sign(key, good.canonical),
        jws_sign(key, good.canonical, typ="other"),
        jws_sign(key, good.canonical + b" ", typ="koinon-convention"),
        jws_sign(key, b"{}", typ="koinon-convention"),
        jws_sign(key, msgspec.structs.replace(good, say=Word.ACCEPT).canonical, typ="koinon-convention"),
    ):
        with pytest.raises(Invalid) as refusal:
            read_statement(token)
        assert refusal.value.code in ("jws_malformed", "statement_malformed")


# --- resources ----------

names = st.text("abc-", min_size=1, max_size=4)


@given(group=names, name=names, other=names)
def test_a_group_pattern_matches_exactly_its_group(group: str, name: str, other: str) -> None:
    assert is_pattern(f"{group}/*") and is_pattern(f"{group}/{name}")
    assert matches(f"{group}/*", f"{group}/{name}") and matches(f"{group}/{name}", f"{group}/{name}")
    assert matches(f"{group}/*", f"{other}/{name}") is (group == other)
    assert matches(f"{group}/{name}", f"{group}/{other}") is (name == other)


@pytest.mark.parametrize("pattern", ["", "*", "*/*", "/x", "x/", "x", "a*/b", "a/b*", "a/*b"])
def test_a_pattern_wider_than_a_group_is_none(pattern: str) -> None:
    assert not is_pattern(pattern)


# --- authorisations ----------


def use(parties: Any, **changes: Any) -> Any:
    authorisation = parties.authorisation(**changes.pop("authorisation", {}))
    asked = {
        "party": parties.id["housing"],
        "purpose": "social_dwelling_admission",
        "action": "consult",
        "resource": "flow/social-dwelling-admission",
        "at": NOW,
        **changes,
    }
    return check_authorised(authorisation, **asked)


def test_an_authorisation_lets_out_its_fields_until_its_last_day(parties: Any) -> None:
    found = use(parties)
    assert found.fields == {"income_condition_met", "property_condition_met"}
    assert found.until == start_of(date(2027, 11, 1))
    assert authorised_fields(parties.authorisation(), "ksz/income") == {"income"}
    assert authorised_fields(parties.authorisation(), "rijksregister/person") == frozenset()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"purpose": "statistics"}, "purpose_not_authorised"),
        ({"action": "export"}, "action_not_authorised"),
        ({"resource": "rijksregister/person"}, "resource_not_authorised"),
        ({"at": start_of(date(2027, 11, 1))}, "authorisation_expired"),
        ({"at": start_of(date(2026, 11, 1)) - timedelta(seconds=1)}, "authorisation_not_yet_valid"),
    ],
)
def test_what_an_authorisation_does_not_say_is_refused(
    parties: Any, change: dict[str, Any], code: str
) -> None:
    with pytest.raises(NotAllowed, match=code):
        use(parties, **change)


def test_threat_actor_of_one_party_using_anothers_authorisation(parties: Any) -> None:
    with pytest.raises(NotAllowed, match="authorisation_of_another"):
        use(parties, party=parties.id["later"])


@pytest.mark.parametrize(
    "change",
    [
        {"number": "14"},
        {"number": "2026/1"},
        {"purposes": ()},
        {"resources": {}},
        {"resources": {"ksz/income": ()}},
        {"resources": {"*": ("x",)}},
        {"valid_until": date(2026, 11, 1)},
        {"articles": ()},
        {"text": Text("a", "b", "")},
    ],
    ids=str,
)
def test_an_authorisation_that_cannot_be_granted_is_refused(parties: Any, change: dict[str, Any]) -> None:
    check_authorisation_document(parties.authorisation())
    with pytest.raises(Invalid, match="authorisation_malformed"):
        check_authorisation_document(parties.authorisation(**change))


FULL = Circumstances(
    profile="housing_manager", case="2026-1", subjects=1, registered=True, second_person=True
)


@pytest.mark.parametrize(
    ("condition", "lacking", "code"),
    [
        (OnlyProfiles(("housing_manager",)), {"profile": "operator"}, "profile_not_authorised"),
        (CaseRequired(), {"case": " "}, "case_missing"),
        (RegisteredSubject(), {"registered": False}, "subject_not_registered"),
        (SubjectsAtMost(1), {"subjects": 2}, "too_many_subjects"),
        (SecondPerson(), {"second_person": False}, "second_person_missing"),
    ],
)
def test_a_condition_that_is_not_met_is_named(
    condition: Condition, lacking: dict[str, Any], code: str
) -> None:
    assert find_unmet([condition], FULL) is None
    assert find_unmet([condition], msgspec.structs.replace(FULL, **lacking)) == code


def test_what_nobody_knows_meets_no_condition() -> None:
    for condition in (OnlyProfiles(("x",)), CaseRequired(), RegisteredSubject(), SecondPerson()):
        assert find_unmet([condition], Circumstances()) is not None


def test_duties_bind_the_receiver_and_are_told(parties: Any) -> None:
    assert list_duties((CaseRequired(), KeptAtMost(30), NotPassedOn())) == (KeptAtMost(30), NotPassedOn())
    assert find_unmet((KeptAtMost(30), NotPassedOn()), Circumstances()) is None
