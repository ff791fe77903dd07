"""The shape of a rule's document, as people write it; what the names in it mean is checked elsewhere."""

from typing import Any

import msgspec

from koinon.base.text import Text
from koinon.trust.rules.model import Effect


class DocumentObligations(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keep: list[str] | None = None
    yes_no: list[str] = []
    masks: list[str] = []
    watermark: bool = False
    depth_days: int | None = None
    second_person: bool = False
    log: str = "standard"
    reason: bool = False
    cache_seconds: int | None = None


class DocumentBasis(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    article: str
    text: Text


class Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The shape of a rule's document; what the names mean is checked after it."""

    id: str
    version: int
    title: Text
    effect: Effect
    resource: str
    actions: list[str]
    purposes: list[str]
    profiles: list[str]
    author: str
    in_force_from: Any
    in_force_until: Any = msgspec.UNSET
    basis: DocumentBasis | msgspec.UnsetType = msgspec.UNSET
    party_kinds: list[str] = []
    parties: list[str] = []
    fields: list[str] = []
    conditions: list[dict[str, Any]] = []
    obligations: DocumentObligations = DocumentObligations()
    deliberation: str | None = None
    adds_to: list[str] = []
