"""What the player says to people, and what refusals of live viewing mean. `%(name)s` is filled in by the player."""

from typing import Final

from koinon.portal import N_, Message
from koinon.video.rights.offers import WORDS as GIVING

WORDS: Final[dict[str, Message]] = {
    **GIVING,
    "connecting": N_("Connecting …"),
    "waiting": N_("Waiting for the picture …"),
    "live": N_("Live"),
    "delay": N_("%(ms)s ms behind"),
    "retry": N_("Try again"),
    "lost": N_("The connection was lost. Next attempt in %(seconds)s s."),
    "unreachable": N_("The service cannot be reached. Next attempt in %(seconds)s s."),
    "unavailable": N_("%(why)s Next attempt in %(seconds)s s."),
    "cut": N_("This view was ended. %(why)s"),
    "refused": N_("This camera cannot be shown. %(why)s"),
    "hidden": N_("Paused, because this page was not in view."),
    "unsupported": N_(
        "This browser cannot show the camera’s format (%(codec)s), and there is no other picture of it."
    ),
    "unsupported_trying": N_(
        "This browser cannot show the camera’s format (%(codec)s). Trying its smaller picture …"
    ),
    "silent": N_("No picture comes in any more"),
    "away": N_("No picture from the camera: it is not connected."),
    "away_connecting": N_("The camera is being connected …"),
    "away_no_key_frame": N_("Waiting for the next whole picture of the camera …"),
    "away_silent": N_("No picture from the camera: it sends nothing."),
    "away_unreachable": N_("No picture from the camera: it cannot be reached."),
    "away_camera_closed": N_("No picture from the camera: it ended the connection."),
    "away_refused": N_("No picture from the camera: it refuses."),
    "away_unauthorised": N_("No picture from the camera: it does not accept our credentials."),
    "away_untrusted": N_("No picture from the camera: its certificate is not accepted."),
    "away_unsupported": N_("No picture from the camera: it does not send H.264 or H.265."),
    "away_not_recorded": N_("No recorder takes this camera in at the moment."),
    "away_recorder_unreachable": N_("The recorder of this camera cannot be reached."),
    "away_moved": N_("Another recorder is taking over this camera …"),
    "away_masks_full": N_(
        "So many pictures are being masked that this one cannot be added now. It is tried again …"
    ),
    "away_share_taken": N_(
        "You watch as many masked pictures as are left for all others. This one comes when you close another …"
    ),
    "away_masking_failed": N_("The masked picture could not be made. It is tried again …"),
    "away_masks_unknown": N_(
        "Which parts are private cannot be told now, so nothing is shown. It is tried again …"
    ),
    "away_service_stopping": N_("The service is being restarted …"),
    "tile": N_("Tile %(number)s"),
    "camera": N_("Camera in tile %(number)s"),
    "empty": N_("No camera chosen"),
    "enlarge": N_("Full screen"),
    "asked": N_("%(purpose)s · case %(case)s"),
    "no_case": N_("no case"),
}

PROBLEMS: Final[dict[str, Message]] = {
    "camera_unknown": N_("There is no such camera, or none that you may know of."),
    "camera_has_no_stream": N_("No picture of this camera is taken in."),
    "masked_picture_unavailable": N_(
        "You may see this camera with private parts masked, and a masked live picture cannot be made at the moment."
    ),
    "too_many_views": N_("In one session at most %(most)s cameras may be watched at the same time."),
    "view_ended": N_("The right to see it has ended."),
    "action_not_here": N_("Only the live picture is shown here."),
    # Why no picture comes.
    "connecting": N_("The camera is being connected …"),
    "silent": N_("No picture from the camera: it sends nothing."),
    "not_recorded": N_("No recorder takes this camera in at the moment."),
    "recorder_unreachable": N_("The recorder of this camera cannot be reached."),
    "masks_unknown": N_(
        "Which parts are private cannot be told now, so nothing is shown. It is tried again …"
    ),
}
