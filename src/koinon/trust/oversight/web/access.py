"""Who sees which page of oversight."""

from koinon.base.errors import NotAllowed
from koinon.portal import Viewer
from koinon.trust.oversight.policy import check_of_commission
from koinon.trust.oversight.rules import READERS
from koinon.trust.parties import Author
from koinon.trust.parties.sign_in import Session

SIGNING_PROFILES = frozenset({"commission_member", "committee_member"})


def of_commission(viewer: Viewer | None) -> bool:
    """Whether the viewer works for the Commission: its menus are shown."""
    return isinstance(viewer, Session) and viewer.party_kind == "commission" and viewer.profile is not None


def makes_rules(viewer: Viewer | None) -> bool:
    """Whether the viewer has a part in the making of rules."""
    return isinstance(viewer, Session) and viewer.profile in READERS


def demand_commission(session: Session) -> Author:
    """The one who acts, a member or the secretariat of the Commission.

    Raises:
        NotAllowed: `commission_only`, `profile_not_chosen`.
    """
    author = session.author()
    check_of_commission(session.profile, session.party_kind)
    return author


def demand_signing(session: Session) -> Author:
    """The one who acts, a member of the Commission or the Committee.

    Who may sign is told by keys and not by sessions; this only keeps the pages from those who have no use
    for them.

    Raises:
        NotAllowed: `members_only`, `profile_not_chosen`.
    """
    author = session.author()
    if session.profile not in SIGNING_PROFILES:
        raise NotAllowed("members_only")
    return author
