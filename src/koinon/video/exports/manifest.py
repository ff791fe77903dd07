"""The papers of an export: what is in it, what is missing in it, who got it, under what; signed by the platform."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from koinon.base.canonical import canonical
from koinon.base.clock import rfc3339
from koinon.base.crypto import SigningKey, jws_sign
from koinon.trust.gate import Receipt
from koinon.trust.rules import Decision
from koinon.video.cameras import Camera
from koinon.video.exports.filming import Filmed, SourceUnit
from koinon.video.exports.model import Export, Part
from koinon.video.exports.policy import Hole
from koinon.video.exports.readme import README
from koinon.video.exports.verifying import FORMAT, TYPE
from koinon.video.masks.model import Mask

TIME: Final = (
    "By the server's clock, in UTC. clock_delta_us of a source is how far the camera's own clock went apart from it "
    "while the unit was recorded."
)


class MadeCamera(msgspec.Struct, kw_only=True):
    """One camera of an export as it was made.

    Attributes:
        masks: those that lay on the images when they were recorded, where they must be masked.
        made: the promise of the entry with which its making began.
    """

    part: Part
    camera: Camera
    owner_name: str
    decision: Decision
    authorisation: str
    masked: bool
    masks: Sequence[Mask]
    made: Receipt
    files: list[Filmed]
    holes: list[Hole]


def write(export: Export, cameras: Sequence[MadeCamera], at: datetime, platform: str) -> dict[str, Any]:
    """The manifest, as values of JSON."""
    return {
        "format": FORMAT,
        "export": str(export.id),
        "form": export.form.value,
        "platform": platform,
        "asked_at": rfc3339(export.asked_at),
        "made_at": rfc3339(at),
        "asked_by": {
            "party": str(export.party),
            "party_name": {name: getattr(export.party_name, name) for name in ("nl", "fr", "en")},
            "person": str(export.person),
            "name": export.name,
            "profile": export.profile,
        },
        "purpose": export.purpose,
        "case": export.case,
        "reason": export.reason,
        "emergency": export.emergency,
        "since": rfc3339(export.since),
        "until": rfc3339(export.until),
        "time": TIME,
        "readme": README,
        "cameras": [_camera(each) for each in cameras],
    }


def sign(key: SigningKey, manifest: Mapping[str, Any]) -> str:
    """The manifest in its canonical bytes (RFC 8785) as a JWS (RFC 7515)."""
    return jws_sign(key, canonical(manifest), typ=TYPE)


def _camera(made: MadeCamera) -> dict[str, Any]:
    camera, part = made.camera, made.part
    return {
        "camera": str(camera.id),
        "code": camera.code,
        "name": camera.name,
        "owner": str(camera.owner),
        "owner_name": made.owner_name,
        "authorisation": made.authorisation,
        "rule": made.decision.rule,
        "rule_version": made.decision.version,
        "second_person": str(part.second.person) if part.second is not None else None,
        "exchange": str(part.exchange),
        "asked": _receipt(part.receipt),
        "made": _receipt(made.made),
        "masked": made.masked,
        "masks": [
            {
                "mask": str(each.id),
                "since": rfc3339(each.valid_from),
                "until": rfc3339(each.valid_until) if each.valid_until is not None else None,
            }
            for each in made.masks
        ],
        "files": [_file(each) for each in made.files],
        "gaps": [
            {
                "since": rfc3339(each.since), "until": rfc3339(each.until), "state": each.state,
                "reason": each.reason,
            }
            for each in made.holes
        ],
    }  # fmt: skip


def _file(filmed: Filmed) -> dict[str, Any]:
    file = filmed.file
    return {
        "name": file.name,
        "since": rfc3339(file.start),
        "until": rfc3339(file.end),
        "bytes": file.bytes,
        "sha256": file.sha256.hex(),
        "codec": filmed.codec,
        "width": filmed.width,
        "height": filmed.height,
        "frames": filmed.frames,
        "leading": filmed.leading,
        "sources": [_source(each) for each in filmed.sources],
    }


def _source(source: SourceUnit) -> dict[str, Any]:
    return {**msgspec.structs.asdict(source), "start": rfc3339(source.start)}


def _receipt(receipt: Receipt) -> dict[str, Any]:
    return {**msgspec.structs.asdict(receipt), "entry": str(receipt.entry)}
