"""Words for the codes of this slice."""

from typing import Any

from litestar import Request

from koinon.base.errors import KoinonError
from koinon.portal import N_, Message, portal_of
from koinon.video.cameras.model import Driver, Observation, PlaceKind, Role, Sensor, State

PLACES = {
    PlaceKind.PUBLIC_OPEN: N_("open place"),
    PlaceKind.PUBLIC_CLOSED: N_("closed place that the public may enter"),
    PlaceKind.NOT_PUBLIC: N_("place that the public may not enter"),
}
SENSORS = {
    Sensor.FIXED: N_("fixed"),
    Sensor.PTZ: N_("can be turned"),
    Sensor.DOME_360: N_("looks all round"),
    Sensor.THERMAL: N_("thermal"),
    Sensor.ANPR: N_("reads number plates"),
}
STATES = {
    State.ACTIVE: (N_("in use"), "good"),
    State.PAUSED: (N_("paused"), "warn"),
    State.RETIRED: (N_("retired"), "neutral"),
}
HEALTH = {
    "recording": (N_("recording"), "good"),
    "interrupted": (N_("interrupted"), "bad"),
    "elsewhere": (N_("recorded by its owner"), "neutral"),
    "unknown": (N_("unknown"), "neutral"),
}
ROLES = {Role.MAIN: N_("main picture"), Role.SUB: N_("small picture")}
DRIVERS = {
    Driver.RTSP: N_("own RTSP client (H.264, H.265 over TCP or TLS)"),
    Driver.AV: N_("PyAV (everything else)"),
}
OBSERVATIONS = {
    Observation.MONITOR: N_("monitoring a crowd"),
    Observation.DETECT: N_("detecting that somebody is there"),
    Observation.OBSERVE: N_("observing what somebody does"),
    Observation.RECOGNISE: N_("recognising somebody known"),
    Observation.IDENTIFY: N_("identifying somebody"),
    Observation.INSPECT: N_("inspecting details"),
}
WINDS = (
    N_("north"),
    N_("north-east"),
    N_("east"),
    N_("south-east"),
    N_("south"),
    N_("south-west"),
    N_("west"),
    N_("north-west"),
)
FIELDS = {
    "code": N_("Code"),
    "name": N_("Name"),
    "latitude": N_("Latitude"),
    "longitude": N_("Longitude"),
    "height_m": N_("Height above the ground (m)"),
    "direction_deg": N_("Direction (degrees from north)"),
    "field_of_view_deg": N_("Angle of view (degrees)"),
    "range_m": N_("How far it sees (m)"),
    "pixels_per_metre": N_("Pixels a metre"),
    "place_kind": N_("Kind of place"),
    "municipality": N_("Municipality"),
    "zone": N_("Police zone"),
    "sensor": N_("Kind of camera"),
    "declaration": N_("Declaration"),
    "regime": N_("Regime of retention"),
    "doubly_recorded": N_("Recorded twice"),
    "source": N_("Address of the main picture"),
    "sub_source": N_("Address of the small picture"),
    "groups": N_("Groups"),
    "driver": N_("Read by"),
    "onvif": N_("Address for steering (ONVIF)"),
}

problems: dict[str, Message] = {
    "camera_unknown": N_("There is no such camera, or none that you may know of."),
    "camera_change_not_allowed": N_(
        "Only the camera manager of the owner may change this; the operator only for a party that has none."
    ),
    "camera_exists": N_("There is a camera of this code already."),
    "code_taken": N_("This code is taken. Choose another."),
    "camera_retired": N_("The camera is retired; nothing of it changes any more."),
    "camera_state_unchanged": N_("The camera was so already."),
    "camera_value_invalid": N_("This value is not possible in this field."),
    "position_outside_region": N_(
        "The position lies outside the Region. Are latitude and longitude in the right fields?"
    ),
    "municipality_unknown": N_("This is not the NIS code of a municipality of the Region."),
    "place_not_shareable": N_(
        "Only cameras at places that the public may enter, open or closed, may be shared (law of 21 March 2007, "
        "article 2; ordinance of 28 May 2015, articles 10/3 to 10/11)."
    ),
    "regime_not_admitted": N_(
        "No rule in force gives this regime of retention to cameras of this owner that look at such a place."
    ),
    "declaration_missing": N_("Give the reference of the declaration before the camera is shared."),
    "invalid_source": N_("This is not the address of a stream. Write it as rtsp://host:port/path."),
    "invalid_fingerprint": N_(
        "This fingerprint of a certificate cannot be kept to. Write #sha256= and 64 hexadecimal digits behind an "
        "address of rtsps (own RTSP client) or https."
    ),
    "invalid_onvif_address": N_(
        "This is not the address of an ONVIF service. Write it as http://user:password@host/onvif/device_service."
    ),
    "camera_cannot_turn": N_("Only a camera of the kind “can be turned” has an address for steering."),
    "control_unknown": N_("The camera has no address for steering."),
    "address_not_allowed": N_(
        "This address lies outside the networks in which cameras of the party may stand. Ask the operator."
    ),
    "name_not_resolved": N_("The name of the host cannot be found."),
    "network_malformed": N_("This is not a network. Write it as 10.4.0.0/16."),
    "network_too_wide": N_("This network is too wide: at least /8, or /32 for IPv6."),
    "network_never": N_("This network holds addresses to which nobody may connect."),
    "network_unknown": N_("This network was not allowed."),
    "group_unknown": N_("There is no such group."),
    "group_exists": N_("There is a group of this code already."),
    "group_reference": N_("There is no such group."),
    "stream_unknown": N_("The camera has no such stream."),
    "centre_unknown": N_("There is no such control centre."),
    "centre_exists": N_("The party has a control centre of this name already."),
    "station_unknown": N_("There is no such work station."),
    "station_exists": N_("This browser was registered before. Its key is never registered twice."),
    "station_revoked": N_("This work station has been revoked."),
    "challenge_wrong": N_("The proof came too late or was used before. Try again."),
    "station_proof_wrong": N_("The proof does not hold: the browser does not have the registered key."),
    "file_malformed": N_("The file cannot be read: it does not have the form that is expected here."),
    "file_kind_unknown": N_("Choose a CSV or GeoJSON file."),
    "file_missing": N_("Choose a file."),
    "file_too_large": N_("The file is too large."),
    "columns_unknown": N_("The file has columns that are not known here."),
    "columns_missing": N_("The file lacks columns that are needed."),
    "columns_twice": N_("The file has a column twice."),
    "too_many_rows": N_("The file has too many rows."),
    "row_malformed": N_("The row cannot be read."),
    "row_twice": N_("This code stands in the file twice."),
    "value_missing": N_("A value is missing."),
    "number_malformed": N_("This is not a number."),
    "word_unknown": N_("This word is not known here."),
    "base_map_missing": N_("The base map of this site cannot be found."),
    "base_map_malformed": N_("The base map of this site cannot be read."),
    # What a camera answers.
    "invalid_sdp": N_(
        "The camera describes its streams in a way that cannot be read. Is the address that of a stream?"
    ),
    "unsupported_media": N_("The camera sends no H.264 or H.265. Set it to one of them."),
}


def words_for(request: Request[Any, Any, Any], error: KoinonError | None) -> Message | None:
    """What a page says of a refusal, with its facts filled in."""
    if error is None:
        return None
    known = portal_of(request).problems
    return Message(str(known.get(error.code, known["form_incomplete"])), **error.facts)


def wind(direction_deg: float | None) -> Message | None:
    """The direction in words, of eight."""
    return None if direction_deg is None else WINDS[round(direction_deg / 45) % 8]
