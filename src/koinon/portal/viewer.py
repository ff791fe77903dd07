"""The port for who is signed in. The portal knows that somebody is; wiring says who."""

from typing import Any, Protocol

from litestar.connection import ASGIConnection

from koinon.base.text import Language, Text

Connection = ASGIConnection[Any, Any, Any, Any]


class Viewer(Protocol):
    """The person for whom a page is made."""

    @property
    def name(self) -> str:
        """As shown in the page's head."""

    @property
    def party_name(self) -> str | Text:
        """On whose behalf the person acts."""

    @property
    def profile_label(self) -> str | Text:
        """In which capacity."""

    @property
    def language(self) -> Language | None:
        """The remembered choice; None while none was made."""

    @property
    def csrf_token(self) -> str:
        """Unguessable, bound to the session; every unsafe request of a page must repeat it."""


def nobody(connection: Connection) -> Viewer | None:
    """No one is signed in: the answer before wiring gives a better one."""
    return None
