"""What may only leave masked: live, with real masking processes."""

import asyncio
import io
from datetime import UTC, datetime
from uuid import UUID

import av
import pytest

from koinon.video.live.channel import Viewer
from koinon.video.live.hub import Hub
from koinon.video.live.masking import Masking
from koinon.video.live.messages import HEAD
from koinon.video.masks import Kind, Mask, MaskPool

CAMERA = UUID(int=1)
LEFT = ((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0))


def mask(*polygons, since=datetime(2026, 1, 1, tzinfo=UTC), number=1):
    return Mask(
        id=UUID(int=number), camera=CAMERA, valid_from=since, valid_until=None, polygons=polygons, kind=Kind.FILL,
        why="front doors", by=UUID(int=9), made_at=since,
    )  # fmt: skip


def spread(messages):
    """For each frame that a player was given, how uneven its left and its right half are (standard deviation)."""
    data = b""
    for opcode, body in messages:
        if opcode == 2:
            data += body[HEAD.size + (1 + body[HEAD.size] if body[0] == 1 else 0) :]
    found = []
    with av.open(io.BytesIO(data), format="mp4") as file:
        for frame in file.decode(video=0):
            luma = frame.to_ndarray(format="gray")
            # Away from the edge of the mask, where the encoder smears.
            half = luma.shape[1] // 2
            found.append((luma[:, : half - 16].std(), luma[:, half + 16 :].std()))
    return found


@pytest.fixture
async def masked_hub(tapped):
    place = await tapped({"width": 640, "height": 360, "gop": 25, "kbits": 800})
    pool, masks = MaskPool(processes=1), []

    async def list_masks(camera):
        if isinstance(masks, Exception) or "away" in masks:
            raise OSError("no database")
        return list(masks)

    async def locate(stream):
        return place.tap.address

    masking = Masking(pool, list_masks, lambda: datetime.now(UTC))
    hub = Hub(locate, bytes(range(32)), masking)
    yield hub, masks, pool, place
    await hub.close()
    await masking.close()


async def test_no_frame_leaves_with_what_is_masked(masked_hub, wire, wait_until):
    hub, masks, pool, _ = masked_hub
    masks.append(mask(LEFT))
    seen, plain = wire(), wire()
    hub.join(1, Viewer(seen), masked=CAMERA)
    hub.join(1, Viewer(plain))
    await wait_until(lambda: len(seen.media()) >= 40, 30)
    frames = spread(seen.messages())
    assert len(frames) >= 30
    assert max(left for left, _ in frames) < 4, "the masked half is even in every frame"
    assert min(right for _, right in frames) > 20, "the other half is the picture"
    assert min(left for left, _ in spread(plain.messages())) > 20, "who may see it all does"
    assert pool.running == 1


async def test_without_a_mask_the_frames_pass_as_they_are_until_one_is_set(masked_hub, wire, wait_until):
    hub, masks, pool, _ = masked_hub
    seen = wire()
    hub.join(1, Viewer(seen), masked=CAMERA)
    await wait_until(lambda: len(seen.media()) >= 10, 15)
    assert pool.running == 0
    masks.append(mask(LEFT))
    await wait_until(lambda: len(seen.openings()) == 2, 15)
    messages = seen.messages()
    at = max(index for index, (opcode, body) in enumerate(messages) if opcode == 2 and body[0] == 1)
    await wait_until(lambda: len(seen.messages()) > at + 30, 15)
    after = spread(seen.messages()[at:])
    assert after and max(left for left, _ in after) < 4
    masks.clear()
    await wait_until(lambda: len(seen.openings()) == 3, 15)
    await wait_until(lambda: pool.running == 0)


async def test_where_the_masks_cannot_be_told_nothing_is_shown(masked_hub, wire, wait_until):
    hub, masks, _, _ = masked_hub
    masks.append("away")
    seen = wire()
    hub.join(1, Viewer(seen), masked=CAMERA)
    await wait_until(lambda: {"away": "masks_unknown"} in seen.texts())
    await asyncio.sleep(1)
    assert not seen.media()
    masks.clear()
    await wait_until(lambda: len(seen.media()) > 5, 15)


async def test_when_masking_dies_nothing_is_shown_and_it_begins_anew(masked_hub, wire, wait_until):
    hub, masks, pool, _ = masked_hub
    masks.append(mask(LEFT))
    seen = wire()
    hub.join(1, Viewer(seen), masked=CAMERA)
    await wait_until(lambda: len(seen.media()) >= 5, 30)
    pool._processes[0]._child.kill()
    await wait_until(lambda: {"away": "masking_failed"} in seen.texts(), 15)
    before = len(seen.media())
    await wait_until(lambda: len(seen.media()) > before + 10, 30)
    assert max(left for left, _ in spread(seen.messages())) < 4


async def test_when_all_slots_are_taken_it_is_said(masked_hub, wire, wait_until):
    hub, masks, pool, _ = masked_hub
    masks.append(mask(LEFT))
    pool.places.most = 0
    seen = wire()
    hub.join(1, Viewer(seen), masked=CAMERA)
    await wait_until(lambda: {"away": "masks_full"} in seen.texts())
    assert not seen.media()
