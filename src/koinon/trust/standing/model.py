"""What is asked of standing and what it answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from koinon.trust.parties import PartyId, PersonId, SystemId


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: a person in a profile, or a system, of a party.

    Attributes:
        profile: code of the profile in which the actor acts; a system acts in `system`.
        key: key id of the signature that identified a system.
        user: the end user whom a system names, when it names one.
        user_asserted_by: `identity_provider` when a signed assertion says so, else `party`.
    """

    party: PartyId
    profile: str
    person: PersonId | None = None
    system: SystemId | None = None
    key: str | None = None
    user: str | None = None
    user_asserted_by: Literal["party", "identity_provider"] | None = None


class Images(msgspec.Struct, frozen=True, kw_only=True):
    """Which images of which camera an ask is about. Whoever keeps the register of cameras fills it, not who asks.

    Attributes:
        camera: its id, in the trace.
        owner: the party whose camera it is; the same convention binds it.
        groups: every resource `cameras/<group>` that the camera belongs to: what stops one stops the camera.
        territories: codes of its municipality and zone.
        since, until: of the images; both None for the live picture.
        at_work_station: asked from a registered work station of the party's control centre.
        emergency: an emergency is declared (break-glass).
        decision: the recorded decision of the public prosecutor on which it rests, by its id; empty without one.
    """

    camera: str
    owner: PartyId
    groups: tuple[str, ...]
    territories: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    at_work_station: bool = False
    emergency: bool = False
    decision: str = ""

    @property
    def live(self) -> bool:
        """Whether the picture of the moment is asked."""
        return self.since is None and self.until is None


class Second(msgspec.Struct, frozen=True, kw_only=True):
    """Another human of the party who confirmed the ask, and in which profile."""

    person: PersonId
    profile: str


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One use of shared data, as it is asked.

    Attributes:
        purpose: a code of the register, never free text.
        case: the party's own reference of the case.
        resource: what is used: `flow/<name>`, `<source>/<service>`, `cameras/<group>`.
        fields: the fields of `resource` that are asked.
        sources: per source service, the fields that the platform must fetch to answer.
        subjects: identifiers of the persons or companies that it is about.
        authorisation: number of the authorisation it rests on; without one standing finds it.
        reason: written, beside the purpose, where the rule or the convention demands it.
        second: who confirmed it, where a second person is demanded.
        images: for a camera, which images.
    """

    actor: Actor
    purpose: str
    case: str
    action: str
    resource: str
    fields: frozenset[str]
    subjects: tuple[str, ...]
    sources: Mapping[str, frozenset[str]] = {}
    authorisation: str | None = None
    reason: str = ""
    second: Second | None = None
    images: Images | None = None


class Grounds(msgspec.Struct, frozen=True, kw_only=True):
    """On what an exchange rests, and until when nothing but an act can change that.

    Attributes:
        authorisation: its number.
        resources: per resource, the fields that the authorisation covers.
        convention, convention_version: the one whose matrix gives the profile the right.
        party_kind: of the actor's party; rules speak of kinds.
        good_until: the first instant at which one of these grounds ends by itself, UTC.
    """

    authorisation: str
    resources: Mapping[str, frozenset[str]]
    convention: str
    convention_version: int
    party_kind: str
    good_until: datetime
