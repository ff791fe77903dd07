"""Which regimes of retention an owner may name for a camera: those whose rule is written for it. Pure decisions.

A rule of a regime (`regime/<code>`) says for whose cameras it is written by its parties and kinds of parties, and for
which places by a condition on `place_kind`. For any other camera it is as if the regime were not there.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from koinon.base.errors import NotAllowed
from koinon.trust.parties import PartyId
from koinon.trust.rules.conditions import compile_condition
from koinon.trust.rules.in_force import InForce
from koinon.trust.rules.model import Rule, covers_party
from koinon.video.cameras.model import Camera, PlaceKind

STANDARD: Final = "standard"
PLACE: Final = "place_kind"
KEEP: Final = "keep"


def admits(rule: Rule, owner: PartyId, owner_kind: str, place: PlaceKind) -> bool:
    """Whether the rule is written for cameras of that owner that look at such a place, and cites its basis."""
    return (
        bool(rule.basis.article.strip())
        and covers_party(rule, owner_kind, str(owner))
        and all(
            compile_condition(each)({PLACE: place.value}) for each in rule.conditions if each.fact == PLACE
        )
    )


def check_named(rules: Iterable[InForce], camera: Camera, owner_kind: str, at: datetime) -> None:
    """The camera may be under the regime that it names, which everything may be under that is `standard`.

    Raises:
        NotAllowed: `regime_not_admitted`: no rule of it that is in force is written for cameras of such an owner that
            look at such a place.
    """
    if camera.regime == STANDARD:
        return
    for each in rules:
        rule = each.rule
        if (
            (rule.resource, rule.effect) == (f"regime/{camera.regime}", "forbid")
            and KEEP in rule.actions
            and each.since <= at < each.until
            and admits(rule, camera.owner, owner_kind, camera.place_kind)
        ):
            return
    raise NotAllowed(
        "regime_not_admitted", field="regime", regime=camera.regime, place_kind=camera.place_kind.value
    )
