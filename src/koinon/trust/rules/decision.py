"""The answer of the rule bank."""

from datetime import datetime
from typing import Literal

import msgspec

from koinon.trust.rules.in_force import InForce
from koinon.trust.rules.model import NO_OBLIGATIONS, Obligations

DecisionCode = Literal[
    "allowed",
    "no_rule",  # no permit is written for this resource, action, purpose, profile and party
    "not_in_force",  # there is one, but not on this day
    "conditions_not_met",  # there is one in force, and a condition of it is false
    "fact_unknown",  # a fact that a permit or a forbid asks for is not known
    "forbidden",  # a forbid applies
    "no_field_asked",  # permits apply, and the request names no field
    "no_field_allowed",  # permits apply, and give none of the fields asked
]


class Decision(msgspec.Struct, frozen=True):
    """The answer of the bank, with its grounds.

    Attributes:
        code: why; see `DecisionCode`.
        grounds: the rules it rests on. The first is the first permit used, or the rule that refuses (the
            forbid that applies, else the permit that came nearest); empty with `no_rule`.
        fields: what may leave: asked, given by a permit, taken away by no forbid.
        filtered: what was asked and may not leave, sorted.
        obligations: of all permits used, at their strictest. They may name fields that were not asked.
        good_until: no date alone changes this decision before; None: no date ever does.
        unknown: names of the facts that were asked for and not known, sorted.
    """

    allowed: bool
    code: DecisionCode
    grounds: tuple[InForce, ...] = ()
    fields: frozenset[str] = frozenset()
    filtered: tuple[str, ...] = ()
    obligations: Obligations = NO_OBLIGATIONS
    good_until: datetime | None = None
    unknown: tuple[str, ...] = ()

    @property
    def rule(self) -> str | None:
        """Id of the first ground."""
        return self.grounds[0].id if self.grounds else None

    @property
    def version(self) -> int | None:
        """Version of the first ground."""
        return self.grounds[0].version if self.grounds else None

    @property
    def deliberation(self) -> str | None:
        """Number of the authorisation that the first ground carries out."""
        return self.grounds[0].rule.deliberation if self.grounds else None

    @property
    def article(self) -> str | None:
        """Article on which the first ground rests."""
        return self.grounds[0].rule.basis.article if self.grounds else None
