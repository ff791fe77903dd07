"""How cameras are, as the recorder last said."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from koinon.base.database import Connection
from koinon.video.cameras import store
from koinon.video.cameras.model import CameraId, Health, Stream

SILENT = timedelta(seconds=60)
"""A recorder that has said nothing for so long is believed no more: it may have died with its last word "recording"."""

_WORST_FIRST = ("interrupted", "unknown", "recording")


class Told(dict[CameraId, Health]):
    """Health by camera; `unknown` for the cameras of which nobody spoke."""

    def __missing__(self, camera: CameraId) -> Health:
        return Health()


async def find_health(
    connection: Connection,
    streams: Mapping[CameraId, Sequence[Stream]],
    at: datetime,
    elsewhere: Collection[CameraId] = (),
) -> Told:
    """The health of each camera: of the worst of its recorded streams, each as its best copy is.

    `elsewhere`: cameras that their owners record, of which no recorder here has anything to say.
    """
    recorded = {camera: [stream.id for stream in each if stream.recorded] for camera, each in streams.items()}
    said = await store.list_said(connection, [id_ for each in recorded.values() for id_ in each])
    told = Told({camera: Health(state="elsewhere") for camera in elsewhere})
    for camera, ids in recorded.items():
        states = [_judge(*said[id_], at) if id_ in said else Health() for id_ in ids]
        if states or camera not in told:
            told[camera] = min(states, key=lambda each: _WORST_FIRST.index(each.state), default=Health())
    return told


def _judge(state: str, since: datetime, detail: str, told_at: datetime, at: datetime) -> Health:
    if told_at < at - SILENT:
        return Health(since=told_at)
    return Health(state="recording" if state == "recording" else "interrupted", since=since, detail=detail)
