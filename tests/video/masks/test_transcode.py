"""What is masked is gone from every frame, however many predict from one another, and the original is not touched."""

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.video.masks.conftest import MIDDLE, START, decode, mask, scene

from koinon.video.masks import Kind
from koinon.video.masks.picture import Cover, masked_copy, rasterise
from koinon.video.masks.transcode import Coded, Span, Transcoder

US = round(START.timestamp() * 1e6)


def transcode(source, masks, **options):
    format_, frames = source
    transcoder = Transcoder([Span.of(each) for each in masks], **options)
    transcoder.open(format_)
    made = [each for frame in frames for each in transcoder.feed(frame)]
    return [*made, *transcoder.finish()], transcoder


def inside(picture):
    height, width = picture.shape
    return picture[height // 3 : 2 * height // 3, width // 3 : 2 * width // 3]


def outside(picture):
    return picture[: picture.shape[0] // 4]


def test_two_originals_that_differ_only_under_the_mask_give_the_same_bytes(coded):
    one, _ = transcode(coded(secret=1), [mask()])
    other, _ = transcode(coded(secret=2), [mask()])
    assert coded(secret=1)[1] != coded(secret=2)[1]
    assert one == other and len(one) > 30
    unmasked = [transcode(coded(secret=secret), [])[0] for secret in (1, 2)]
    assert unmasked[0] != unmasked[1]  # the proof would be none if nothing came through at all


def test_every_frame_after_one_key_frame_is_masked_where_it_must_be_and_right_where_it_is_not(coded):
    format_, frames = coded(count=150, lossless=False)
    assert sum(frame.key for frame in frames) == 1
    made, _ = transcode((format_, frames), [mask()])
    pictures = decode(made)
    assert len(pictures) >= 88
    ticks = [each.ticks for each in made if isinstance(each, Coded)]
    for picture, at in zip(pictures, ticks, strict=True):
        assert np.abs(inside(picture).astype(int) - 128).max() <= 6
        was = scene(at // 3600, 320, 180, 1)[:180]
        assert np.abs(outside(picture).astype(int) - outside(was)).mean() < 14
        assert np.abs(inside(was).astype(int) - 128).mean() > 30


def test_a_mosaic_keeps_the_average_of_each_block_and_nothing_finer(coded):
    made, _ = transcode(coded(), [mask(kind=Kind.MOSAIC)])
    for picture in decode(made):
        part = inside(picture).astype(int)
        assert part.std() < 25 and np.abs(np.diff(part, axis=1)).mean() < 6
    sharp, _ = transcode(coded(), [])
    assert all(np.abs(np.diff(inside(each).astype(int), axis=1)).mean() > 20 for each in decode(sharp))


@pytest.mark.parametrize("source", [{"codec": "libx265"}, {"b_frames": 2, "lossless": False}, {"gop": 10}])
def test_other_codecs_frames_out_of_order_and_short_groups_are_masked_too(coded, source):
    if source.get("codec") == "libx265":
        try:
            av.CodecContext.create("libx265", "w")
        except av.codec.codec.UnknownCodecError:
            pytest.skip("no x265 in this build of FFmpeg")
    made, transcoder = transcode(coded(**source), [mask()])
    pictures = decode(made)
    assert len(pictures) >= 33 and transcoder.failed == 0
    assert all(np.abs(inside(picture).astype(int) - 128).max() <= 6 for picture in pictures)
    ticks = [each.ticks for each in made if isinstance(each, Coded)]
    assert ticks == sorted(ticks)


def test_a_decoders_own_frames_are_never_written_to(coded):
    format_, frames = coded()
    cover = Cover([MIDDLE], Kind.FILL, 320, 180)

    def pictures(masking):
        decoder = av.CodecContext.create("h264", "r")
        for frame in frames:
            from koinon.video.recorder.nal import read_nals

            sets = list(format_.sets) if frame.key else []
            packet = av.Packet(b"".join(b"\0\0\0\1" + nal for nal in [*sets, *read_nals(frame.data)]))
            for picture in decoder.decode(packet):
                if masking:
                    masked_copy(picture, cover, 320, 180)
                yield picture.to_ndarray(format="yuv420p")

    assert all((one == other).all() for one, other in zip(pictures(False), pictures(True), strict=True))


def test_a_frame_is_under_the_mask_of_its_own_time(coded):
    from datetime import timedelta

    turn = START + timedelta(seconds=1)
    masks = [mask(until=turn), mask(polygons=[], since=turn)]
    made, _ = transcode(coded(), masks)
    for picture, each in zip(decode(made), [each for each in made if isinstance(each, Coded)], strict=True):
        masked = np.abs(inside(picture).astype(int) - 128).max() <= 6
        assert masked == (each.wall_us < US + 1_000_000)


def test_fifteen_frames_a_second_of_at_most_720_lines_come_out_with_their_times(coded):
    made, _ = transcode(coded(count=50, width=1920, height=1080, lossless=False), [mask()])
    frames = [each for each in made if isinstance(each, Coded)]
    assert 29 <= len(frames) <= 31
    assert {each.wall_us - US - each.ticks * 100 // 9 for each in frames} == {0}
    assert {picture.shape for picture in decode(made)} == {(720, 1280)}


def test_after_a_frame_that_cannot_be_decoded_nothing_is_shown_until_the_next_key_frame(coded):
    format_, frames = coded(gop=20)
    broken = list(frames)
    broken[5] = Coded(frames[5].ticks, frames[5].wall_us, False, b"\0\0\0\4\x41\xff\xff\xff")
    made, transcoder = transcode((format_, broken), [mask()])
    ticks = [each.ticks for each in made if isinstance(each, Coded)]
    if transcoder.failed:
        assert not [each for each in ticks if frames[5].ticks <= each < frames[20].ticks]
    assert max(ticks) > frames[20].ticks
    assert all(np.abs(inside(each).astype(int) - 128).max() <= 6 for each in decode(made))


def test_frames_before_the_first_key_frame_are_not_shown(coded):
    format_, frames = coded(gop=20)
    made, _ = transcode((format_, frames[3:]), [mask()])
    assert min(each.ticks for each in made if isinstance(each, Coded)) >= frames[20].ticks


point = st.tuples(st.floats(0, 1), st.floats(0, 1))


@settings(max_examples=150)
@given(
    point, point, point, st.tuples(*[st.floats(0, 1)] * 3), st.sampled_from([(64, 36), (50, 46), (130, 98)])
)
def test_every_point_of_a_polygon_is_masked(one, two, three, weights, size):
    width, height = size
    polygon = (one, two, three)
    total = sum(weights) or 1.0
    shares = [each / total for each in weights] if sum(weights) else [1.0, 0.0, 0.0]
    x = sum(share * corner[0] for share, corner in zip(shares, polygon, strict=True))
    y = sum(share * corner[1] for share, corner in zip(shares, polygon, strict=True))
    column, row = min(int(x * width), width - 1), min(int(y * height), height - 1)
    assert rasterise(polygon, width, height)[row, column]
    for kind in Kind:
        cover = Cover([polygon], kind, width, height)
        assert cover.blocks[row // cover.block, column // cover.block]
        planes = [
            np.arange(w * h, dtype=np.uint8).reshape(h, w)
            for w, h in ((width, height), *[(width // 2, height // 2)] * 2)
        ]
        before = [plane.copy() for plane in planes]
        cover.apply(planes)
        blocks = np.kron(cover.blocks, np.ones((cover.block, cover.block), bool))[:height, :width]
        assert (planes[0][~blocks] == before[0][~blocks]).all()
        if kind is Kind.FILL:
            assert (planes[0][blocks] == 128).all()


def test_a_polygon_far_from_a_place_does_not_cover_it():
    covered = rasterise(((0.1, 0.1), (0.3, 0.1), (0.3, 0.3), (0.1, 0.3)), 200, 100)
    assert covered[20, 40] and not covered[60, 120]
    assert abs(covered.mean() - 0.04) < 0.01


def test_what_an_outline_that_crosses_itself_winds_round_is_masked():
    star = ((0.5, 0.05), (0.75, 0.9), (0.1, 0.35), (0.9, 0.35), (0.25, 0.9))
    assert rasterise(star, 200, 200)[100, 100]
