"""Two clocks, without any I/O: a camera that drifts, steps, lies, stalls."""

import random
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from koinon.video.recorder import TICKS
from koinon.video.recorder.timing import RunClock

FRAME = TICKS // 25


def play(clock, seconds, *, ppm=0.0, jitter=0.0, origin=1000.0, stamp=0, unit=60.0, rate=1.0, seed=1):
    """Frames of a camera whose clock is `ppm` fast arrive; units are closed; the spacings are returned."""
    chance = random.Random(seed)
    spacings, media = [], 0
    opened = 0
    for number in range(int(seconds * 25)):
        true = number / 25 / rate / (1 + ppm * 1e-6)
        media = clock.observe((stamp + number * FRAME) & 0xFFFFFFFF, origin + true + chance.random() * jitter)
        if media - opened >= unit * TICKS:
            spacings.append(clock.close_unit(media))
            opened = media
        if clock.ending:
            break
    return spacings, media


def test_a_run_begins_when_its_least_delayed_frame_says():
    clock = RunClock()
    for number, delay in enumerate([0.4, 0.3, 0.01, 0.2, 0.25]):
        clock.observe(number * FRAME, 50 + number / 25 + delay)
    assert abs(clock.start_estimate() - 50.01) < 1e-9


def test_twenty_ppm_of_drift_over_ten_hours_are_followed_within_a_twentieth_of_a_second():
    clock = RunClock()
    spacings, _ = play(clock, 36_000, ppm=20, jitter=0.03)
    assert clock.ending is None
    end = spacings[-1].start + spacings[-1].wall_seconds
    # Without correction the camera would be 0.72 s ahead by now.
    true = 1000 + len(spacings) * 60 / (1 + 20e-6)
    assert abs(end - true) < 0.05
    for spacing, following in pairwise(spacings):
        assert following.start == spacing.start + spacing.wall_seconds
        assert abs(spacing.wall_seconds - 60) <= 60 * 500e-6 + 1e-9


def test_timestamps_that_wrap_around_are_no_step():
    clock = RunClock()
    spacings, media = play(clock, 130, stamp=0xFFFFFFFF - 60 * TICKS)
    assert clock.ending is None and media == (130 * 25 - 1) * FRAME and len(spacings) == 2


def test_a_stall_of_the_network_that_is_caught_up_is_neither_step_nor_rate():
    clock = RunClock()
    for number in range(60 * 25):
        true = number / 25
        late = max(0.0, 28.0 - true) if 20 < true < 28 else 0.0  # eight seconds arrive at once
        clock.observe(number * FRAME, 10 + true + late)
    assert clock.ending is None
    assert abs(clock.start_estimate() - 10) < 1e-9


def test_a_clock_that_runs_at_a_wrong_rate_is_told_from_one_that_was_set():
    clock = RunClock()
    play(clock, 60, rate=21 / 25)
    assert clock.ending == "clock_rate"
    assert abs(clock.rate - 25 / 21) < 0.005
    again = RunClock(rate=clock.rate)
    play(again, 300, rate=21 / 25)
    assert again.ending is None


def test_a_step_is_known_from_the_frame_on_that_shows_it():
    clock = RunClock()
    clock.observe(0, 10.0)
    clock.observe(FRAME, 10.04)
    media = clock.observe(3600 * TICKS, 10.08)
    assert (clock.ending, clock.ending_since) == ("clock_step", 10.08)
    assert abs(media - 2 * FRAME) <= 1


def test_a_delay_that_stays_is_a_step():
    clock = RunClock()
    for number in range(80 * 25):
        true = number / 25
        clock.observe(number * FRAME, true + (5.0 if true > 30 else 0.0))
        if clock.ending:
            break
    assert clock.ending == "clock_step" and clock.rate == 1.0


def test_the_last_unit_of_a_run_whose_clock_is_not_believed_ends_when_its_last_frame_came():
    clock = RunClock()
    _, media = play(clock, 60, rate=21 / 25)
    spacing = clock.close_unit(media, until=1042.0)
    assert spacing.start == 1000.0 and spacing.start + spacing.wall_seconds == 1042.0


def test_a_run_never_begins_before_the_end_of_the_one_before():
    clock = RunClock(earliest=99.5)
    for number in range(250):
        clock.observe(number * FRAME, 100.0)  # ten seconds from the camera's memory, at once
    assert clock.start_estimate() == 99.5


@given(
    st.integers(0, 0xFFFFFFFF),
    st.lists(st.tuples(st.integers(-(10**9), 10**9), st.floats(0, 30)), max_size=60),
)
def test_whatever_a_camera_says_media_time_does_not_run_away_from_arrival(stamp, moves):
    clock, arrival = RunClock(), 0.0
    last = clock.observe(stamp, arrival)
    for ahead, later in moves:
        stamp, arrival = (stamp + ahead) & 0xFFFFFFFF, arrival + later
        media = clock.observe(stamp, arrival)
        # Forward by no more than what has passed and the threshold; backward by less than half of it.
        assert -1.0 * TICKS <= media - last <= (later + 2.0) * TICKS + 1
        last = media
