"""Playback follows the recordings bit by bit, says what is missing, and never leaves its interval."""

import hashlib
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from tests.video.playback.conftest import Files, moved

from koinon.base.errors import Invalid
from koinon.video.playback import messages
from koinon.video.playback.course import Course, Ended, Media, Missing, Opening, Piece, step
from koinon.video.playback.pieces import key_before, of_us, shift, split, to_us, wall_us
from koinon.video.recorder.boxes import read_samples
from koinon.video.recordings.model import StoredUnit
from koinon.video.recordings.timeline import State, Stretch

SECOND = 1_000_000


async def follow(course: Course, *, keys_only: bool = False, most: int = 500) -> list[Piece]:
    """All pieces up to the end."""
    found: list[Piece] = []
    for _ in range(most):
        found.append(await course.next(keys_only=keys_only))
        if isinstance(found[-1], Ended):
            return found
    raise AssertionError("playback does not end")


def frames(pieces: list[Piece]) -> list[int]:
    return [us for piece in pieces if isinstance(piece, Media) for us in piece.frames_us]


def payload(unit: StoredUnit) -> bytes:
    """The fragments of a file, without its head and closing box."""
    return b"".join(fragment.data for fragment in split(file_from_key(unit))[0])


def whole_file(unit: StoredUnit) -> bytes:
    return Path(unit.file).read_bytes()


def file_from_key(unit: StoredUnit) -> bytes:
    return whole_file(unit)[unit.key_frames[0].offset :]


async def test_what_is_played_is_what_is_in_the_files_bit_by_bit(units: list[StoredUnit]) -> None:
    source = Files(units)
    pieces = await follow(Course(source, source.since_us, source.until_us))
    assert [type(piece).__name__ for piece in pieces if not isinstance(piece, Media)] == (
        ["Opening"] * len(units) + ["Ended"]
    )
    sent = b"".join(piece.fragment.data for piece in pieces if isinstance(piece, Media))
    assert hashlib.sha256(sent).digest() == hashlib.sha256(b"".join(map(payload, units))).digest()
    assert sum(unit.frames for unit in units) == len(frames(pieces))
    assert frames(pieces) == sorted(frames(pieces))


async def test_a_seek_begins_at_the_key_frame_before_and_reads_nothing_before_it(
    units: list[StoredUnit],
) -> None:
    source = Files(units)
    course = Course(source, source.since_us, source.until_us)
    wanted = to_us(units[1].start) + int(1.3 * SECOND)
    course.seek(wanted)
    opening, media = await course.next(), await course.next()
    assert isinstance(opening, Opening) and opening.unit_us == to_us(units[1].start)
    assert isinstance(media, Media) and media.fragment.key
    key = units[1].key_frames[key_before(units[1], wanted)]
    assert media.us == wall_us(units[1], key.ticks) <= wanted < media.us + int(0.52 * SECOND) + 1
    assert [read[0] for read in source.reads] == [units[1].file]
    assert source.reads[0][1] == key.offset


@pytest.mark.parametrize("after", [0.0, 0.001, 0.7, 1.999])
@pytest.mark.parametrize("before", [0.001, 0.5, 1.7])
@pytest.mark.parametrize("keys_only", [False, True])
async def test_no_frame_from_outside_the_interval_ever_leaves(
    units: list[StoredUnit], after: float, before: float, keys_only: bool
) -> None:
    source = Files(units)
    since, until = source.since_us + int(after * SECOND), source.until_us - int(before * SECOND)
    course = Course(source, since, until)
    for at in (since, since - 5 * SECOND, until, until + 5 * SECOND):
        course.seek(at)
        seen = frames(await follow(course, keys_only=keys_only))
        assert all(since <= us < until for us in seen)
    course.seek(since)
    seen = frames(await follow(course, keys_only=keys_only))
    keys = [wall_us(unit, key.ticks) for unit in units for key in unit.key_frames]
    assert seen[0] == next(us for us in keys if us >= since)


async def test_the_last_fragment_is_cut_but_its_frames_stay_as_they_are(units: list[StoredUnit]) -> None:
    source = Files(units[:1])
    whole = [
        piece
        for piece in await follow(Course(source, source.since_us, source.until_us))
        if isinstance(piece, Media)
    ]
    cut_at = whole[1].frames_us[5]
    found = await follow(Course(source, source.since_us, cut_at))
    last = [piece for piece in found if isinstance(piece, Media)][-1]
    assert last.frames_us == whole[1].frames_us[:5]
    assert read_samples(last.fragment.data)[1] == whole[1].fragment.samples[:5]
    sizes = sum(sample.size for sample in whole[1].fragment.samples)
    body = whole[1].fragment.data[-sizes:]
    assert last.fragment.data.endswith(body[: sum(sample.size for sample in whole[1].fragment.samples[:5])])


async def test_a_gap_is_told_with_its_reason_and_playback_goes_on(units: list[StoredUnit]) -> None:
    hole = timedelta(minutes=5)
    later = moved(units[1], hole)
    source = Files([units[0], later], [Stretch(units[0].end, later.start, "silent")])
    pieces = await follow(Course(source, source.since_us, source.until_us))
    told = [piece for piece in pieces if isinstance(piece, Missing)]
    assert [[(span.start, span.end, span.state, span.reason) for span in piece.spans] for piece in told] == [
        [(units[0].end, later.start, State.GAP, "silent")]
    ]
    after = pieces.index(told[0])
    assert isinstance(pieces[after + 1], Opening) and isinstance(pieces[after + 2], Media)
    assert len(frames(pieces)) == units[0].frames + units[1].frames


async def test_what_is_missing_at_both_ends_is_told(units: list[StoredUnit]) -> None:
    source = Files([units[1]])
    pieces = await follow(Course(source, source.since_us - SECOND, source.until_us + SECOND))
    assert (
        isinstance(pieces[0], Missing) and isinstance(pieces[-2], Missing) and isinstance(pieces[-1], Ended)
    )
    assert pieces[-2].spans[-1].end == of_us(source.until_us + SECOND)


async def test_nothing_recorded_at_all_is_told_and_ends() -> None:
    source = Files([])
    pieces = await follow(Course(source, 0, SECOND))
    assert [type(piece) for piece in pieces] == [Missing, Ended]


async def test_the_second_copy_goes_on_where_the_first_stops(units: list[StoredUnit]) -> None:
    # Copy 1 has the same pictures; copy 0 lacks the second unit.
    copies = [units[0], units[2], *(msgspec.structs.replace(unit, copy=1) for unit in units)]
    source = Files(copies)
    pieces = await follow(Course(source, source.since_us, source.until_us))
    assert not [piece for piece in pieces if isinstance(piece, Missing)]
    assert sorted(set(frames(pieces))) == sorted({us for unit in units for us in frames_in(unit)})


def frames_in(unit: StoredUnit) -> list[int]:
    return [wall_us(unit, ticks) for fragment in split(file_from_key(unit))[0] for ticks in fragment.shown()]


@pytest.mark.parametrize("stretched_us", [-40, 0, 16, 977])
async def test_a_view_holds_each_frame_that_was_taken_before_its_end_to_the_microsecond(
    units: list[StoredUnit], stretched_us: int
) -> None:
    unit = msgspec.structs.replace(units[0], wall_us=units[0].wall_us + stretched_us)
    source = Files([unit])
    every = frames_in(unit)
    for index in (1, 7, 13, 20):
        for until in range(every[index], every[index] + 13):  # a tick is 11 microseconds
            course = Course(source, source.since_us, until)
            kept = [us for us in every if us < until]
            assert frames(await follow(course)) == kept
            assert (await step(course, until, forwards=False))[1] == (kept[-2] if len(kept) > 1 else None)


async def test_fast_playback_sends_key_frames_alone_in_few_bytes(units: list[StoredUnit]) -> None:
    source = Files(units)
    pieces = await follow(Course(source, source.since_us, source.until_us), keys_only=True)
    keys = [wall_us(unit, key.ticks) for unit in units for key in unit.key_frames]
    assert frames(pieces) == keys
    media = [piece for piece in pieces if isinstance(piece, Media)]
    # Together they last as long as what they stand for.
    assert sum(piece.fragment.duration for piece in media) == sum(unit.media_ticks for unit in units)
    assert all(len(read_samples(piece.fragment.data)[1]) == 1 for piece in media)
    assert sum(len(piece.fragment.data) for piece in media) < sum(unit.bytes for unit in units) / 2


async def test_a_step_forwards_and_back_comes_to_the_same_frame(units: list[StoredUnit]) -> None:
    source = Files(units)
    course = Course(source, source.since_us, source.until_us)
    every = sorted(us for unit in units for us in frames_in(unit))
    for index in (0, 5, 12, 13, len(frames_in(units[0])) - 1, len(frames_in(units[0]))):
        sent, forwards = await step(course, every[index], forwards=True)
        assert forwards == every[index + 1]
        assert isinstance(sent[0], Opening) and forwards in frames(sent)
        _, back = await step(course, forwards, forwards=False)
        assert back == every[index]
    assert await step(course, every[0], forwards=False) == ([], None)
    assert (await step(course, every[-1], forwards=True))[1] is None


@pytest.mark.parametrize("into", [-0.00005, 0.001, 0.02, 0.0398])
async def test_a_step_counts_from_the_frame_of_the_moment_wherever_in_it_that_is(
    units: list[StoredUnit], into: float
) -> None:
    source = Files(units)
    course = Course(source, source.since_us, source.until_us)
    every = sorted(us for unit in units for us in frames_in(unit))
    first = len(frames_in(units[0]))
    for index in (1, 5, 12, 13, 14, first - 1, first, first + 1):
        at = every[index] + int(into * SECOND)
        _, after = await step(course, at, forwards=True)
        sent, before = await step(course, at, forwards=False)
        assert (before, after) == (every[index - 1], every[index + 1])
        assert isinstance(sent[0], Opening) and before in frames(sent)


async def test_a_step_back_from_the_end_of_a_view_counts_from_its_last_frame(
    units: list[StoredUnit],
) -> None:
    """Where a player stands when it has shown all; the recording itself goes on."""
    source = Files(units)
    until = source.until_us - SECOND
    course = Course(source, source.since_us, until)
    seen = sorted(us for unit in units for us in frames_in(unit) if us < until)
    for at in (until - 1, until, until + SECOND, 1 << 80):
        assert (await step(course, at, forwards=False))[1] == seen[-2]
        assert (await step(course, at, forwards=True))[1] is None
    assert (await step(course, -(1 << 80), forwards=False))[1] is None


async def test_a_step_back_from_a_gap_is_to_the_last_frame_before_it(units: list[StoredUnit]) -> None:
    later = moved(units[1], timedelta(minutes=5))
    source = Files([units[0], later], [Stretch(units[0].end, later.start, "silent")])
    course = Course(source, source.since_us, source.until_us)
    at = to_us(units[0].end) + 60 * SECOND
    assert (await step(course, at, forwards=False))[1] == max(frames_in(units[0]))
    assert (await step(course, at, forwards=True))[1] == min(frames_in(later))


@pytest.mark.parametrize("million", [-500, 0, 20, 500])
async def test_a_player_knows_when_each_frame_was_taken_whatever_the_camera_s_clock(
    units: list[StoredUnit], million: int
) -> None:
    unit = msgspec.structs.replace(
        units[0], wall_us=units[0].wall_us + units[0].wall_us * million // 1_000_000
    )
    source = Files([unit])
    pieces = await follow(Course(source, source.since_us, to_us(unit.end)))
    base = messages.base_of(source.since_us)
    opened = messages.opening(next(each for each in pieces if isinstance(each, Opening)), base)
    _, _, _, pace, us, at = messages.HEAD.unpack_from(opened)
    for piece in pieces:
        if isinstance(piece, Media):
            for each in piece.frames_us:
                place = messages.find_place([piece], each, base)
                assert place is not None
                assert abs(us + (place - at) * pace / (90_000 * 1000) - each) < 20


async def test_a_step_goes_over_a_gap_and_back(units: list[StoredUnit]) -> None:
    later = moved(units[1], timedelta(minutes=5))
    source = Files([units[0], later], [Stretch(units[0].end, later.start, "silent")])
    course = Course(source, source.since_us, source.until_us)
    last, first = max(frames_in(units[0])), min(frames_in(later))
    sent, target = await step(course, last, forwards=True)
    assert target == first and any(isinstance(piece, Missing) for piece in sent)
    assert (await step(course, first, forwards=False))[1] == last


async def test_a_file_that_is_gone_is_told_and_the_next_unit_is_played(
    units: list[StoredUnit], tmp_path: Path
) -> None:
    class Broken(Files):
        async def read(self, unit: StoredUnit, offset: int, length: int) -> bytes:
            if unit.file == units[1].file:
                raise Invalid("unit_missing")
            return await super().read(unit, offset, length)

    source = Broken(units)
    pieces = await follow(Course(source, source.since_us, source.until_us))
    told = [piece for piece in pieces if isinstance(piece, Missing)]
    assert [(piece.spans[0].state, piece.spans[0].reason) for piece in told] == [
        (State.UNKNOWN, "unit_missing")
    ]
    assert set(frames_in(units[2])) <= set(frames(pieces))


async def test_a_file_that_is_not_a_unit_is_told_and_not_sent(
    units: list[StoredUnit], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.mp4"
    data = bytearray(whole_file(units[0]))
    data[units[0].key_frames[1].offset + 4] ^= 0xFF
    broken.write_bytes(data)
    source = Files([msgspec.structs.replace(units[0], file=str(broken))])
    pieces = await follow(Course(source, source.since_us, source.until_us))
    assert [piece.spans[0].reason for piece in pieces if isinstance(piece, Missing)] == ["unit_damaged"]


async def test_times_are_shifted_without_touching_a_frame(units: list[StoredUnit]) -> None:
    data = payload(units[0])
    moved_data = shift(data, 90_000)
    assert len(moved_data) == len(data)
    before, after = split(data)[0], split(moved_data)[0]
    assert [each.base + 90_000 for each in before] == [each.base for each in after]
    assert [each.samples for each in before] == [each.samples for each in after]
    differing = sum(a != b for a, b in zip(data, moved_data, strict=True))
    assert differing <= 8 * len(before)


async def test_b_frames_are_played_and_bounded_by_when_they_are_shown(
    b_frame_units: list[StoredUnit],
) -> None:
    source = Files(b_frame_units)
    since, until = source.since_us + SECOND // 3, source.until_us - SECOND // 3
    seen = frames(await follow(Course(source, since, until)))
    assert seen and seen != sorted(seen)
    assert all(since <= us < until for us in seen)
