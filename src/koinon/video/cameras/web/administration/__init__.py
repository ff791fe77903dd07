"""Pages on which a party looks after its cameras: register, change, pause, retire, share, streams, groups, import."""

from koinon.portal import N_, NavigationItem, Viewer
from koinon.trust.parties.sign_in import Session
from koinon.video.cameras.policy import MANAGER, OPERATOR
from koinon.video.cameras.web.administration import cameras, files, networks


def _manages(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.profile in (MANAGER, OPERATOR)


navigation = [
    NavigationItem(
        label=N_("Manage cameras"), path="/video/cameras", shown_to=_manages, order=40, section="cameras"
    ),
    NavigationItem(label=N_("Import"), path="/video/import", shown_to=_manages, order=42, section="cameras"),
]

handlers = [*cameras.handlers, *files.handlers, *networks.handlers]
