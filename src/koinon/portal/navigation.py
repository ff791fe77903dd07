"""Navigation as data: a slice says which pages it has, the shell shows those that the viewer may want."""

from collections.abc import Callable, Iterable

import msgspec

from koinon.base.text import Text
from koinon.portal.languages import Message
from koinon.portal.viewer import Viewer


def everyone(viewer: Viewer | None) -> bool:
    """Signed in or not."""
    return True


def signed_in(viewer: Viewer | None) -> bool:
    """Anyone who is signed in."""
    return viewer is not None


class NavigationItem(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a menu.

    Attributes:
        label: a marked text, `N_("Consult")`.
        path: where it leads; the item is current on it and on every path below it.
        shown_to: whether this viewer finds it useful. It hides and does not protect: the page decides itself.
        order: smaller comes first; equal orders by label.
        section: the menu it belongs to: `main` for the page's head, else the name of a console.
    """

    label: Message | Text
    path: str
    shown_to: Callable[[Viewer | None], bool] = everyone
    order: int = 100
    section: str = "main"


class Shown(msgspec.Struct, frozen=True):
    """A navigation item as one viewer on one page sees it."""

    label: Message | Text
    path: str
    current: bool


def shown_items(
    items: Iterable[NavigationItem], viewer: Viewer | None, path: str, section: str = "main"
) -> list[Shown]:
    """The items of `section` for `viewer`, in order; the one that matches `path` best is current."""
    mine = sorted(
        (item for item in items if item.section == section and item.shown_to(viewer)),
        key=lambda item: (item.order, str(item.label)),
    )
    here = max((item.path for item in mine if _covers(item.path, path)), key=len, default=None)
    return [Shown(item.label, item.path, item.path == here) for item in mine]


def _covers(item: str, path: str) -> bool:
    return path == item or (item != "/" and path.startswith(item.rstrip("/") + "/"))
