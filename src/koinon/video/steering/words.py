"""What the page says to people who steer, and what refusals mean. `%(name)s` is filled in by the page's script."""

from typing import Final

from koinon.portal import N_, Message

WORDS: Final[dict[str, Message]] = {
    "steer": N_("Steer"),
    "steer_end": N_("Let go"),
    "steer_panel": N_("Steering of the camera"),
    "steer_up": N_("Up"),
    "steer_down": N_("Down"),
    "steer_left": N_("Left"),
    "steer_right": N_("Right"),
    "steer_in": N_("Closer"),
    "steer_out": N_("Wider"),
    "steer_speed": N_("Speed"),
    "steer_slow": N_("slow"),
    "steer_normal": N_("normal"),
    "steer_fast": N_("fast"),
    "steer_presets": N_("Go to"),
    "steer_choose": N_("Choose a place"),
    "steer_keys": N_("Keyboard: hold an arrow to turn, + and − to zoom; Escape lets go."),
    "steer_asking": N_("Asking for the camera …"),
    "steer_holds": N_("You steer this camera."),
    "steer_wanted": N_(
        "You steer this camera. Somebody waits for it: it passes on when you move nothing for 15 seconds."
    ),
    "steer_waits": N_("%(who)s steers this camera. You are number %(place)s of those who wait."),
    "steer_waits_free": N_("The camera is about to be free. You are number %(place)s of those who wait."),
    "steer_person": N_("%(person)s (%(party)s)"),
    "steer_connecting": N_("The camera is asked …"),
    "steer_unreachable": N_("The camera cannot be reached. It is tried again …"),
    "steer_slow_answer": N_("The camera does not answer in time."),
    "steer_unauthorised": N_("The camera does not accept our credentials."),
    "steer_untrusted": N_("The camera’s certificate is not accepted."),
    "steer_fault": N_("The camera refuses this movement."),
    "steer_garbage": N_("The camera answers in a way that is not understood."),
    "steer_simulated": N_("This is a simulated camera, which is not steered here."),
    "steer_cannot_turn": N_("The camera says that it cannot be turned."),
    "steer_position": N_("Pan %(pan)s · tilt %(tilt)s · zoom %(zoom)s"),
    "steer_keep": N_("Keep the places of this camera"),
    "steer_which": N_("Which place"),
    "steer_new": N_("A new place"),
    "steer_name": N_("Name"),
    "steer_save": N_("Save where it looks"),
    "steer_save_anew": N_("Replace by where it looks"),
    "steer_remove": N_("Remove"),
    "steer_count": N_("%(count)s of at most %(most)s places"),
    "steer_keep_hint": N_(
        "To give a place another name, go there first: saving it also saves where the camera looks."
    ),
    "steer_keeping": N_("The camera is asked to keep it …"),
    "steer_saved": N_("Saved: %(name)s"),
    "steer_removed": N_("Removed: %(name)s"),
    "steer_ended": N_("You no longer steer this camera. %(why)s"),
    "steer_refused": N_("You cannot steer this camera. %(why)s"),
    "steer_lost": N_("The connection was lost; the camera stands still."),
}

PROBLEMS: Final[dict[str, Message]] = {
    "camera_not_steerable": N_("This camera cannot be steered from here, or not at the moment."),
    "camera_masked": N_(
        "Parts of the picture of this camera are masked. A mask would not fit any more if it turned: it is not steered."
    ),
    "too_many_wait": N_("%(most)s people wait for this camera already."),
    "steering_taken_over": N_("Somebody who goes first has taken it over: its owner, or an emergency."),
    "steering_idle": N_("You moved nothing for a while and somebody waited."),
    "steering_lost": N_("The service did not hear from your turn for too long."),
    "preset_owners_only": N_("Only who works for the owner of a camera changes its places."),
    "preset_name_invalid": N_("A place has a name of 1 to %(most)s characters that can be printed."),
    "preset_name_refused": N_("The camera does not take this name: choose a shorter or simpler one."),
    "preset_name_taken": N_("Another place of this camera has this name already."),
    "preset_unknown": N_("The camera has no such place, or no longer."),
    "presets_full": N_("The camera keeps at most %(most)s places: remove or replace one."),
    "camera_moves": N_("The camera still moves. Save when it stands still."),
    "camera_not_held": N_("You do not have this camera, or it does not answer yet."),
    "preset_underway": N_("The camera is still doing what you asked before."),
    "preset_unconfirmed": N_("The camera did not do this, or did not say so."),
}
