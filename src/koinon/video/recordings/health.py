"""How each camera of a recorder process is, as the register's sight and the metrics show it."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from koinon.base.metrics import gauge
from koinon.video.recorder import Reason
from koinon.video.recordings.model import Health
from koinon.video.recordings.recording import Recording

_FPS_TOLERANCE: Final = 0.1

CAMERAS: Final = gauge("koinon_recorder_cameras", "Streams that this process holds, by state.", ["state"])
ALARMS: Final = gauge("koinon_recorder_alarms", "Streams with an alarm, by what it is.", ["alarm"])


def show(told: Sequence[Health]) -> None:
    """The metrics show how many cameras are in which state and have which alarm."""
    for metric, counts in (
        (CAMERAS, Counter(each.state for each in told)),
        (ALARMS, Counter(each.alarm for each in told if each.alarm)),
    ):
        metric.clear()
        for name, count in counts.items():
            metric.labels(name).set(count)


def health_of(
    recording: Recording,
    *,
    refusal: Reason | None,
    single: bool,
    behind: bool,
    state: str | None = None,
    detail: str | None = None,
) -> Health:
    """How the camera of that recording is.

    `refusal` is why nothing can be written, if nothing can; `single` whether its other copy is held by nobody;
    `behind` whether the index is; `state` and `detail` stand for those of the camera where they are given.
    """
    camera, last = recording.camera, recording.last
    counts = camera.counts
    state = state or camera.state
    said, measured = camera.frame_rate, recording.fps
    alarm = None
    if refusal is not None:
        alarm = str(refusal)
    elif state in ("recording", "connecting"):
        if single:
            alarm = "one_copy_only"
        elif said and measured and abs(measured / said - 1) > _FPS_TOLERANCE:
            alarm = "fps_differs"
        elif behind:
            alarm = "index_behind"
    elif state not in ("stopped", "paused"):
        alarm = "not_recording"
    return Health(
        track=recording.track,
        state=state,
        detail=detail if detail is not None else camera.detail or _left_out(state, camera.left_out),
        last_unit_at=last.start + timedelta(microseconds=last.wall_us) if last else None,
        lost=counts.lost,
        damaged=counts.damaged_frames,
        bad_nals=counts.bad_nals,
        delta_us=last.delta_us if last else None,
        camera_us=last.camera_us if last else None,
        fps_said=said,
        fps_measured=measured,
        alarm=alarm,
    )


def _left_out(state: str, codecs: Sequence[str]) -> str:
    """What the camera offers beside its video: it could be switched off there (docs/decisions/0008)."""
    return f"not recorded: {', '.join(codecs)}"[:200] if codecs and state == "recording" else ""
