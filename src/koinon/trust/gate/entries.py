"""What the gate writes into the ledger about an exchange, and what it answers about that."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from koinon.base.clock import rfc3339
from koinon.base.crypto import b64url
from koinon.trust.gate.model import ExchangeId, Receipt
from koinon.trust.ledger import Entry, Log, Promise
from koinon.trust.standing import Ask, Images


def entry_of(
    ask: Ask,
    exchange: ExchangeId,
    *,
    kind: str,
    at: datetime,
    subjects: tuple[str, ...] | None = None,
    authorisation: str | None = None,
    public: Mapping[str, Any] | None = None,
    private: Mapping[str, Any] | None = None,
) -> Entry:
    """The entry of one step of an exchange.

    Public (to readers of the exchange log): party, authorisation, action, resources, and what `public` adds. Private,
    sealed under the subjects' keys: which person or system asked, for which purpose and case, and what `private` adds.
    """
    actor = ask.actor
    hidden = {
        "exchange": str(exchange),
        "profile": actor.profile,
        "person": str(actor.person) if actor.person else None,
        "system": str(actor.system) if actor.system else None,
        "key": actor.key,
        "user": actor.user,
        "user_asserted_by": actor.user_asserted_by,
        "purpose": ask.purpose,
        "case": ask.case,
        "reason": ask.reason or None,
        "second_person": str(ask.second.person) if ask.second is not None else None,
        **(_images_of(ask.images) if ask.images is not None else {}),
        **(private or {}),
    }
    shown: dict[str, Any] = {
        "party": str(actor.party),
        "action": ask.action,
        "resources": [ask.resource, *sorted(ask.sources)],
        **(public or {}),
    }
    if authorisation is not None:
        shown["authorisation"] = authorisation
    return Entry(
        log=Log.EXCHANGE,
        kind=kind,
        public=shown,
        private={name: value for name, value in hidden.items() if value is not None},
        subjects=ask.subjects if subjects is None else subjects,
        at=at,
    )


def _images_of(images: Images) -> dict[str, Any]:
    """Of which camera, whose, from when to when; and whether an emergency was declared."""
    return {
        "camera": images.camera,
        "owner": str(images.owner),
        "images_since": rfc3339(images.since) if images.since is not None else None,
        "images_until": rfc3339(images.until) if images.until is not None else None,
        "emergency": True if images.emergency else None,
        "at_work_station": True if images.at_work_station else None,
        "prosecutor_decision": images.decision or None,
    }


def receipt_of(promise: Promise) -> Receipt:
    """The promise as a response carries it."""
    return Receipt(
        log=promise.log.value,
        entry=promise.entry,
        leaf_hash=b64url(promise.leaf_hash),
        at=rfc3339(promise.at),
        max_merge_delay_seconds=promise.max_merge_delay_seconds,
    )
