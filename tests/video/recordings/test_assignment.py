"""Recorders that judge alike end with even shares, and never both copies of a camera in one process."""

from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from koinon.video.recordings.assignment import plan
from koinon.video.recordings.model import RecorderId, Track

ME, OTHER, THIRD = (RecorderId(UUID(int=number)) for number in (1, 2, 3))


def tracks(single, double):
    return [Track(each) for each in range(single)] + [
        Track(100 + each, copy) for each in range(double) for copy in (0, 1)
    ]


def settle(wanted, recorders, holders, rounds=80):
    """What becomes of it when each looks in turn, what was given being free until somebody looks."""
    waited = dict.fromkeys(wanted, 0)
    moves = 0
    for _ in range(rounds):
        before = dict(holders)
        for me in recorders:
            overdue = {track for track in wanted if track not in holders and waited[track] > 3}
            what = plan(wanted, holders, recorders, me, overdue=overdue)
            for track in what.release:
                assert holders[track] == me
                del holders[track]
            for track in what.take[: what.limit]:
                assert track not in holders
                holders[track] = me
            mine = [track.stream for track, holder in holders.items() if holder == me]
            assert len(mine) == len(set(mine)), "both copies in one process"
        for track in wanted:
            waited[track] = 0 if track in holders else waited[track] + 1
        moves += before != holders
    return moves


@settings(max_examples=60)
@given(st.integers(0, 30), st.integers(0, 12), st.integers(1, 5), st.data())
def test_everything_is_recorded_and_shares_become_even_from_any_beginning(single, double, count, data):
    wanted = tracks(single, double)
    recorders = [RecorderId(UUID(int=number)) for number in range(1, count + 1)]
    holders = {}
    for track in wanted:
        holder = data.draw(st.sampled_from([None, *recorders]))
        if holder and holders.get(Track(track.stream, 1 - track.copy)) != holder:
            holders[track] = holder
    settle(wanted, recorders, holders)
    if count == 1:
        assert {track.stream for track in holders} == {track.stream for track in wanted}
    else:
        assert set(holders) == set(wanted)
        counts = [list(holders.values()).count(each) for each in recorders]
        assert max(counts) - min(counts) <= 1 + (double > 0), counts
    # Once it is even nothing moves any more.
    assert settle(wanted, recorders, holders, rounds=5) == 0


def test_a_recorder_alone_takes_one_copy_of_each():
    what = plan(tracks(2, 2), {}, [ME], ME)
    assert {track.stream for track in what.take[: what.limit]} == {0, 1, 100, 101}


def test_who_has_no_disk_gives_all_away_if_somebody_has_and_keeps_trying_if_nobody_has():
    holders = {Track(0): ME, Track(1): ME}
    assert plan(tracks(2, 0), holders, [OTHER], ME).release == (Track(0), Track(1))
    assert plan(tracks(2, 0), holders, [], ME).release == ()


def test_a_newcomer_is_given_its_share_and_no_more():
    holders = {Track(each): (ME if each < 5 else OTHER) for each in range(10)}
    given_ = [
        len(plan(tracks(10, 0), holders, [ME, OTHER, THIRD], each).release) for each in (ME, OTHER, THIRD)
    ]
    assert sorted(given_) == [0, 1, 2]


def test_who_holds_all_of_the_few_gives_to_who_has_none():
    holders = {Track(0): ME, Track(1): ME}
    released = [plan(tracks(2, 0), holders, [ME, OTHER, THIRD], each).release for each in (ME, OTHER, THIRD)]
    assert [len(each) for each in released] == [1, 0, 0]


def test_what_a_dead_one_held_is_shared_out_between_the_others():
    holders = {Track(each): OTHER for each in range(4)}
    what = plan(tracks(8, 0), holders, [ME, OTHER], ME)
    assert what.limit == 4 and len(what.take) == 4
