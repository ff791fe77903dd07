"""Page shell, components, languages, problems, and a port for who is signed in. Knows no domain word.

A slice makes a page with `render(request, "slice/page.html", ...)`; see `docs/design/portal.md`.
"""

from koinon.portal.languages import N_, Message, spoken
from koinon.portal.navigation import NavigationItem, everyone, signed_in
from koinon.portal.problems import prefers_page, problem_document
from koinon.portal.security import MEDIA_POLICY, refuse_cross_origin
from koinon.portal.shell import Portal, portal_of, render
from koinon.portal.viewer import Connection, Viewer
from koinon.portal.web import local_address

__all__ = [
    "MEDIA_POLICY",
    "N_",
    "Connection",
    "Message",
    "NavigationItem",
    "Portal",
    "Viewer",
    "everyone",
    "local_address",
    "portal_of",
    "prefers_page",
    "problem_document",
    "refuse_cross_origin",
    "render",
    "signed_in",
    "spoken",
]
