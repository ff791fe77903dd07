"""What the page of playback says to people. `%(name)s` is filled in by the page's script."""

from typing import Final

from koinon.portal import N_, Message
from koinon.video.rights.offers import WORDS as GIVING

WORDS: Final[dict[str, Message]] = {
    **GIVING,
    "state_recorded": N_("Images recorded"),
    "state_held": N_("Recorded and held beyond its term"),
    "state_gap": N_("Not recorded"),
    "state_deleted_by_term": N_("Deleted: its term ran out"),
    "state_not_yours": N_("Further back than you may see"),
    "state_remote_not_asked": N_("Kept elsewhere and not asked"),
    "state_unknown": N_("Not known"),
    "reason_future": N_("still to come"),
    "reason_stopped": N_("the recorder was stopped"),
    "reason_crashed": N_("the recorder failed"),
    "reason_camera_closed": N_("the camera ended the connection"),
    "reason_silent": N_("the camera sent nothing"),
    "reason_unreachable": N_("the camera could not be reached"),
    "reason_refused": N_("the camera refused"),
    "reason_unauthorised": N_("the camera did not accept the credentials"),
    "reason_untrusted": N_("the camera’s certificate was not accepted"),
    "reason_protocol": N_("the camera did not speak as it should"),
    "reason_unsupported": N_("the camera’s format is not supported"),
    "reason_no_key_frame": N_("the camera sent no whole picture"),
    "reason_clock_step": N_("a clock was set"),
    "reason_clock_rate": N_("the camera’s clock ran at a wrong rate"),
    "reason_disk_full": N_("the disk was full"),
    "reason_disk_error": N_("the disk failed"),
    "reason_disk_slow": N_("the disk did not keep up"),
    "reason_folder_gone": N_("the recordings folder was away"),
    "reason_paused": N_("recording was paused"),
    "reason_handed_over": N_("from one recorder to another"),
    "reason_not_held": N_("its owner holds nothing of it"),
    "reason_unit_bytes_missing": N_("the recording is in the index, but its file is not there"),
    "reason_unit_damaged": N_("the recording’s file is damaged"),
    "reason_place_unreachable": N_("the place where the recording lies cannot be reached"),
    "reason_masks_full": N_("it may only leave masked, and no masking is free at the moment"),
    "reason_share_taken": N_(
        "it may only leave masked, and you have as many masked as are left for all others"
    ),
    "reason_masking_failed": N_("it may only leave masked, and masking failed"),
    "connecting": N_("Connecting …"),
    "asked": N_("%(purpose)s · case %(case)s"),
    "buffering": N_("Fetching pictures …"),
    "missing": N_("%(state)s until %(until)s"),
    "missing_why": N_("%(state)s until %(until)s: %(why)s"),
    "missed": N_("%(camera)s, %(since)s – %(until)s: %(state)s"),
    "missed_why": N_("%(camera)s, %(since)s – %(until)s: %(state)s (%(why)s)"),
    "ended": N_("End of the chosen time"),
    "cut": N_("This view was ended. %(why)s"),
    "refused": N_("This recording cannot be shown. %(why)s"),
    "lost": N_("The connection was lost."),
    "retry": N_("Try again"),
    "unsupported": N_("This browser cannot show the camera’s format (%(codec)s)."),
    "play": N_("Play"),
    "pause": N_("Pause playing"),
    "at": N_("%(time)s, %(state)s"),
    "timeline": N_("Timeline"),
    "first_time": N_("first time (summer time)"),
    "second_time": N_("second time (winter time)"),
    "no_such_time": N_("That time does not exist: the clock went forward by an hour that night."),
    "choose_camera": N_("Choose at least one camera."),
    "too_many": N_("Choose at most %(most)s cameras."),
    "in_future": N_("That time is still to come."),
    "no_gaps": N_("Nothing is missing in the part shown."),
}

PROBLEMS: Final[dict[str, Message]] = {
    "camera_has_no_stream": N_("No picture of this camera is taken in."),
    "invalid_interval": N_(
        "That stretch of time cannot be shown: it ends before it begins, or is longer than a year."
    ),
    "too_many_cameras": N_("At most %(most)s cameras can be looked at together."),
    "view_unknown": N_("There is no such view, or it has ended."),
    "media_unknown": N_("There is no such recording, or none that you may see now."),
    "segment_only_masked": N_(
        "You may see this part of the recording masked only. Fetch the playlist again."
    ),
    "masking_busy": N_("Too many recordings are being masked at the moment. Try again in a while."),
    "no_picture": N_("Nothing was recorded at that moment."),
    "no_still": N_("Nothing of it was recorded in the last day, and no live picture comes."),
    "still_not_given": N_("No authorisation gives a still of your cameras."),
    "pictures_busy": N_("Too many pictures are being made at the moment. Try again in a while."),
    "picture_unreadable": N_("The picture of that moment cannot be read."),
    "speed_unknown": N_("That speed is not one of ours."),
    # What is wrong with a recording.
    "invalid_time": N_("This moment is not one of our time."),
    "invalid_range": N_("The recording has %(bytes)s bytes, and none where some were asked for."),
    "unit_unknown": N_("There is no such recording any more: its term is over, or it was moved. Look anew."),
    "unit_bytes_missing": N_(
        "The recording is in the index, but its file is not there. The operator runs koinon video fsck."
    ),
    "unit_damaged": N_("The recording is damaged there. Begin before it or after it."),
    "unit_too_large": N_(
        "This recording is larger than %(limit_bytes)s bytes, which cannot be read at once."
    ),
    "group_too_large": N_(
        "From one whole picture to the next there are more than %(limit_bytes)s bytes, which cannot be masked at "
        "once."
    ),
    "invalid_unit": N_("This file is not a recording of ours, or it is damaged."),
    "invalid_key_frames": N_(
        "What the index says of this recording is damaged. The operator runs koinon video fsck."
    ),
    "sample_entry_unknown": N_(
        "How the pictures of this recording are decoded is not known any more. The operator runs koinon video "
        "fsck."
    ),
    "invalid_parameter_sets": N_(
        "What the camera says of its pictures cannot be right, so they cannot be decoded. Set the camera to "
        "H.264 or H.265 anew."
    ),
}
