"""How long what was recorded when may be kept, who may hold it, how long a disk lasts: decided without a database."""

import itertools
from datetime import UTC, date, datetime, timedelta
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from koinon.base.errors import Invalid, NotAllowed
from koinon.base.ids import new_id
from koinon.base.text import Text
from koinon.demo.region.seeding import RULES
from koinon.trust.parties import PartyId
from koinon.trust.rules import Basis, Condition, Rule, RuleBank, parse_rules
from koinon.video.cameras.model import PlaceKind
from koinon.video.terms import policy
from koinon.video.terms.model import (
    BEGINNING,
    DEFAULT_DAYS,
    LEAD,
    Assignment,
    Deleted,
    Hold,
    NewHold,
    Why,
)
from koinon.video.terms.regimes import find_demands, list_hold_bases, read_regimes, written_for

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
WORDS = Text("w", "m", "w")


def day(n):
    """The start of a day in Brussels, so many days before now's."""
    return datetime(2026, 11, 23, 23, tzinfo=UTC) - timedelta(days=n)


def rule(code, days, *, since, until=None, version=1, article="art. 1", **changes):
    fields = {
        "id": f"regime.{code}", "version": version, "title": WORDS, "effect": "forbid",
        "resource": f"regime/{code}", "actions": frozenset({"keep"}), "purposes": frozenset({"*"}),
        "profiles": frozenset({"*"}), "party_kinds": frozenset({"*"}),
        "conditions": (Condition("image_age_days", "number", "at_least", days),),
        "basis": Basis(article, WORDS), "in_force_from": since, "in_force_until": until, "author": "somebody",
    }  # fmt: skip
    return Rule(**(fields | changes))


def regimes_of(*rules):
    return read_regimes(RuleBank(rules).rules)


def days_at(limits, recorded_at):
    return policy.limit_at(limits, recorded_at).days


def test_without_any_regime_thirty_days_is_the_most_and_no_rule_is_named():
    (limit,) = policy.limits_of([], regimes_of(), NOW)
    assert (limit.days, limit.rule, limit.fallen_back) == (DEFAULT_DAYS, None, ())


def test_no_version_of_the_standard_regime_may_keep_more_than_thirty_days_and_a_shorter_one_counts():
    longer = regimes_of(rule("standard", 90, since=date(2026, 1, 1)))
    shorter = regimes_of(rule("standard", 7, since=date(2026, 1, 1)))
    assert days_at(policy.limits_of([], longer, NOW), NOW) == DEFAULT_DAYS
    assert days_at(policy.limits_of([], shorter, NOW), NOW) == 7


def test_a_version_counts_for_the_cameras_for_which_it_is_written_and_for_no_others():
    since, party = date(2020, 1, 1), PartyId(new_id())
    police = rule("police", 365, since=since, party_kinds=frozenset({"police_zone"}))
    places = (
        Condition("image_age_days", "number", "at_least", 89),
        Condition("place_kind", "text", "in", ("public_closed", "not_public")),
    )
    one = {"party_kinds": frozenset(), "parties": frozenset({str(party)})}
    regimes = regimes_of(police, rule("listed", 89, since=since, conditions=places, **one))

    def days(code, kind, place):
        mine = written_for(regimes, party, kind, place)
        limit = policy.limit_at(policy.limits_of([Assignment(BEGINNING, code)], mine, NOW), NOW)
        return limit.days, limit.fallen_back

    assert days("police", "police_zone", PlaceKind.PUBLIC_OPEN) == (365, ())
    assert days("police", "municipality", PlaceKind.PUBLIC_OPEN) == (30, ("police",))
    assert days("police", "", PlaceKind.PUBLIC_OPEN) == (30, ("police",))  # a party that is not known
    assert days("listed", "municipality", PlaceKind.PUBLIC_CLOSED) == (89, ())
    assert days("listed", "police_zone", PlaceKind.PUBLIC_OPEN) == (30, ("listed",))
    assert not written_for(regimes, PartyId(new_id()), "", PlaceKind.PUBLIC_CLOSED).versions["listed"]


def test_a_regime_with_a_legal_basis_counts_and_one_without_falls_back_and_says_so():
    named = [Assignment(BEGINNING, "police")]
    good = policy.limits_of(named, regimes_of(rule("police", 365, since=date(2020, 1, 1))), NOW)
    without = policy.limits_of(
        named, regimes_of(rule("police", 365, since=date(2020, 1, 1), article=" ")), NOW
    )
    assert (days_at(good, NOW), policy.limit_at(good, NOW).rule) == (365, "regime.police/1")
    fallen = policy.limit_at(without, NOW)
    assert (fallen.days, fallen.regime, fallen.fallen_back) == (30, "standard", ("police",))


def test_the_version_of_the_time_of_recording_counts_when_a_later_one_keeps_longer():
    regimes = regimes_of(
        rule("police", 100, since=date(2020, 1, 1), until=None),
        rule("police", 365, since=date(2026, 11, 1), version=2),
    )
    limits = policy.limits_of([Assignment(BEGINNING, "police")], regimes, NOW)
    assert days_at(limits, datetime(2026, 10, 31, 22, 59, tzinfo=UTC)) == 100
    assert days_at(limits, datetime(2026, 10, 31, 23, 0, tzinfo=UTC)) == 365


def test_a_later_version_that_keeps_shorter_counts_for_older_recordings_too_from_its_day_on():
    regimes = regimes_of(
        rule("police", 365, since=date(2020, 1, 1)),
        rule("police", 100, since=date(2026, 11, 24), version=2),
    )
    named = [Assignment(BEGINNING, "police")]
    before = policy.limits_of(named, regimes, day(0) - timedelta(seconds=1))
    after = policy.limits_of(named, regimes, day(0))
    assert days_at(before, day(50)) == 365
    assert days_at(after, day(50)) == 100


def test_a_version_that_comes_into_force_tomorrow_deletes_nothing_today():
    regimes = regimes_of(
        rule("police", 365, since=date(2020, 1, 1)),
        rule("police", 1, since=date(2026, 11, 25), version=2),
    )
    assert days_at(policy.limits_of([Assignment(BEGINNING, "police")], regimes, NOW), NOW) == 365


def test_a_camera_that_moves_to_a_longer_regime_keeps_old_recordings_no_longer_and_to_a_shorter_one_shortens_them():
    regimes = regimes_of(
        rule("police", 365, since=date(2020, 1, 1)), rule("standard", 30, since=date(2020, 1, 1))
    )
    to_longer = [Assignment(BEGINNING, "standard"), Assignment(day(10), "police")]
    to_shorter = [Assignment(BEGINNING, "police"), Assignment(day(10), "standard")]
    longer = policy.limits_of(to_longer, regimes, NOW)
    assert (days_at(longer, day(11)), days_at(longer, day(9))) == (30, 365)
    assert days_at(policy.limits_of(to_shorter, regimes, NOW), day(200)) == 30


def test_a_first_assignment_says_nothing_of_what_was_recorded_before_it():
    regimes = regimes_of(rule("police", 365, since=date(2020, 1, 1)))
    limits = policy.limits_of([Assignment(day(10), "police")], regimes, NOW)
    assert (days_at(limits, day(11)), days_at(limits, day(9))) == (30, 365)


@given(
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["standard", "a", "b", "none"])), max_size=6),
    st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 400), st.integers(0, 500)), max_size=6),
    st.integers(0, 400),
)
def test_limits_cover_all_time_without_overlap_and_never_exceed_what_counted_then_or_counts_now(
    named, versions, ago
):
    counts = {}
    rules = []
    for code, since, days in sorted(versions, key=lambda each: -each[1]):
        counts[code] = counts.get(code, 0) + 1
        rules.append(rule(code, days, since=(NOW - timedelta(days=since)).date(), version=counts[code]))
    regimes = regimes_of(*rules)
    assignments = [Assignment(NOW - timedelta(days=since), code) for since, code in named]
    limits = policy.limits_of(assignments, regimes, NOW)
    assert limits[0].since == BEGINNING
    assert all(one.until == other.since for one, other in itertools.pairwise(limits))
    moment = NOW - timedelta(days=ago)
    then = policy.limits_of([each for each in assignments if each.since <= moment], regimes, moment)
    assert days_at(limits, moment) <= days_at(then, moment)
    assert days_at(limits, moment) <= days_at(limits, NOW)


def test_what_is_due_begins_before_the_term_less_the_lead_and_nothing_younger_is():
    limits = policy.limits_of([], regimes_of(), NOW)
    (window,) = policy.windows_due([1], limits, None, NOW)
    assert window.until == NOW - timedelta(days=30) + LEAD
    assert (window.why, window.spare_holds) == (Why.MAXIMUM, "beyond")


def test_an_owner_may_keep_shorter_and_never_longer():
    limits = policy.limits_of([], regimes_of(), NOW)
    by_law, by_owner = policy.windows_due([1], limits, 7, NOW)
    assert by_law.until == by_owner.since == NOW - timedelta(days=30) + LEAD
    assert (by_owner.until, by_owner.why, by_owner.spare_holds) == (
        NOW - timedelta(days=7) + LEAD,
        Why.TERM,
        "all",
    )
    assert policy.windows_due([1], limits, 90, NOW) == policy.windows_due([1], limits, None, NOW)


def demo_regimes():
    return read_regimes(RuleBank(parse_rules(RULES)).rules)


def test_images_of_the_police_need_the_prosecutor_from_the_thirtieth_day_on_and_not_before():
    regimes = demo_regimes()
    at = datetime(2026, 6, 1, tzinfo=UTC)
    assert find_demands(regimes, "police", "view_recording", 29, at) == ()
    (stage,) = find_demands(regimes, "police", "view_recording", 30, at)
    assert stage.demands == ("prosecutor_decision",) and "25/7" in stage.article
    assert find_demands(regimes, "standard", "view_recording", 30, at) == ()


def test_a_hold_basis_is_given_to_the_profiles_and_parties_that_the_rule_names_only():
    regimes = demo_regimes()
    at = datetime(2026, 6, 1, tzinfo=UTC)

    def bases(kind, profile, when=at):
        return {each.code for each in list_hold_bases(regimes, kind, str(uuid4()), profile, when)}

    assert bases("police_zone", "investigator") == {"judicial_request"}
    assert bases("municipality", "camera_manager") == {"incident"}
    assert bases("municipality", "investigator") == set()
    assert bases("company", "camera_manager") == set()
    assert bases("police_zone", "investigator", datetime(2025, 6, 1, tzinfo=UTC)) == set()


def asked(**changes):
    fields = {
        "cameras": (new_id(),), "since": NOW - timedelta(days=2), "until": NOW - timedelta(days=1),
        "basis": "incident", "reason": "A window was broken", "ends_at": NOW + timedelta(days=20),
    }  # fmt: skip
    return NewHold(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"cameras": ()}, "hold_without_cameras"),
        ({"cameras": (new_id(),) * 501}, "hold_too_many_cameras"),
        ({"until": NOW - timedelta(days=2)}, "hold_interval"),
        ({"since": NOW, "until": NOW + timedelta(days=1)}, "hold_interval"),
        ({"reason": "  "}, "hold_without_reason"),
        ({"ends_at": NOW}, "hold_end"),
        ({"ends_at": NOW + timedelta(days=367)}, "hold_end"),
    ],
)
def test_a_hold_without_end_reason_cameras_or_interval_is_refused(changes, code):
    (basis,) = list_hold_bases(demo_regimes(), "municipality", "", "camera_manager", NOW)
    policy.check_hold(asked(), basis, NOW)
    with pytest.raises(Invalid) as refused:
        policy.check_hold(asked(**changes), basis, NOW)
    assert refused.value.code == code


def test_a_hold_without_ground_for_that_profile_is_refused():
    with pytest.raises(NotAllowed) as refused:
        policy.check_hold(asked(), None, NOW)
    assert refused.value.code == "hold_not_allowed"


def test_a_hold_keeps_what_overlaps_it_while_it_stands_and_past_the_maximum_only_where_its_basis_says_so():
    hold = Hold(
        id=new_id(), decision=new_id(), camera=new_id(), since=NOW - timedelta(days=40), until=NOW - timedelta(days=35),
        owner=new_id(), basis="b", rule="b/1", article="a", reason="r", case="", keeps_days=None, placed_by=new_id(),
        placed_at=NOW - timedelta(days=20), ends_at=NOW + timedelta(days=1),
    )  # fmt: skip
    start, end = NOW - timedelta(days=40, seconds=30), NOW - timedelta(days=40) + timedelta(seconds=30)
    assert policy.keeps(hold, start, end, NOW, past_maximum=False)
    assert not policy.keeps(hold, start, hold.since, NOW, past_maximum=False)
    assert not policy.keeps(hold, hold.until, hold.until + timedelta(1), NOW, past_maximum=False)
    assert not policy.keeps(hold, start, end, NOW, past_maximum=True)
    assert not policy.keeps(hold, start, end, hold.ends_at, past_maximum=False)
    ended = msgspec.structs.replace(hold, ended_at=NOW - timedelta(hours=1))
    assert not policy.keeps(ended, start, end, NOW, past_maximum=False)
    beyond = msgspec.structs.replace(hold, keeps_days=45)
    assert policy.keeps(beyond, start, end, NOW, past_maximum=True)
    assert not policy.keeps(beyond, start, end, NOW + timedelta(days=5), past_maximum=True)


@given(st.lists(st.tuples(st.integers(1, 2), st.integers(0, 200), st.integers(1, 90)), max_size=30))
def test_merging_deleted_stretches_loses_no_unit_no_byte_and_no_second(pieces):
    given_ = [
        Deleted(
            stream=stream, start=NOW + timedelta(seconds=60 * start), end=NOW + timedelta(seconds=60 * start + length),
            why=Why.TERM, units=1, bytes=100,
        )
        for stream, start, length in pieces
    ]  # fmt: skip
    merged = policy.merge_deleted(given_)
    assert sum(each.units for each in merged) == len(given_)
    assert sum(each.bytes for each in merged) == 100 * len(given_)
    for piece in given_:
        assert any(
            each.stream == piece.stream and each.start <= piece.start and piece.end <= each.end
            for each in merged
        )
    for one, other in itertools.pairwise(merged):
        assert one.stream != other.stream or one.end + timedelta(seconds=1) < other.start
    assert policy.merge_deleted(merged) == merged


def test_an_unreadable_disk_is_an_alarm_and_never_plenty():
    assert (
        policy.outlook(policy.Room(None, 0), 0, {}, reserve_percent=5, announce_days=7).state == "unreadable"
    )


def test_a_disk_that_fills_is_announced_with_the_days_left_and_one_below_its_reserve_is_pressing():
    def look(free, in_per_day, due=None):
        return policy.outlook(
            policy.Room(free, 1000), in_per_day, due or {}, reserve_percent=10, announce_days=3
        )

    assert look(200, 40) == ("announced", 2, 0)
    assert look(500, 50) == ("good", 8, 0)
    assert look(200, 40, dict.fromkeys(range(60), 40)) == ("good", None, 0)
    assert look(99, 0) == ("pressing", 0, 1)
    assert look(100, 0) == ("good", None, 0)
