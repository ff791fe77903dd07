"""A tap without a recorder: cameras are read and shown and nothing is kept. For tests, measurements, and trying out."""

import asyncio
from collections.abc import Mapping
from typing import Final

from koinon.video.live.tap import Tap
from koinon.video.recorder.model import Options, Source
from koinon.video.recorder.nal import Codec, read_format
from koinon.video.recorder.rtp import Depacketiser, H264Depacketiser, H265Depacketiser
from koinon.video.recorder.rtsp import Session, SessionFailed

_DEPACKETISERS: Final[dict[Codec, type[Depacketiser]]] = {"h264": H264Depacketiser, "h265": H265Depacketiser}


async def feed(tap: Tap, sources: Mapping[int, Source], *, silence_seconds: float = 3.0) -> None:
    """The tap is fed from these cameras, by stream, until this is cancelled."""
    async with asyncio.TaskGroup() as group:
        for stream, source in sources.items():
            group.create_task(_feed(tap, stream, source, silence_seconds))


async def _feed(tap: Tap, stream: int, source: Source, silence_seconds: float) -> None:
    options = Options(name="alone", silence_seconds=silence_seconds)
    while True:
        session = Session(source, options)
        try:
            media = await session.open()
            described = read_format(media.codec, media.sets) if media.sets else None
            depacketiser = _DEPACKETISERS[media.codec](
                media.payload_type,
                lambda frame, told=described: tap.frame(stream, frame, told),  # type: ignore[misc]
            )
            await session.play(depacketiser, lambda _: None)
            await session.watch(lambda: None)
        except SessionFailed as error:
            tap.away(stream, error.reason)
        finally:
            await session.close()
        await asyncio.sleep(0.2)
