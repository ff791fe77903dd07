"""Terms, interest and ranking of debts that are paid from a sale or a seizure. Pure.

The notary or bailiff announces; each competent creditor states what it claims before the end of a term in working
days counted from the day after the announcement was sent; what comes later is out, and shown. The price is then
shared out by rank. Amounts are integer eurocent.

Source: CIR/WIB 92 arts. 433-435 (12 working days; 10 for announcements sent from 1 January 2024: act of 28 December
2023, arts. 78 and 81, numac 2023048795); ordinance of 6 March 2019 (numac 2019030195), arts. 69-71; Judicial Code,
arts. 1639-1654. Rates of interest, the ranks, and the terms of the Region and the municipalities were not found:
illustrative.
"""

from collections.abc import Sequence
from datetime import date
from typing import Literal

import msgspec

from koinon.integrator.entitlement.calendar import add_months, add_working_days
from koinon.integrator.entitlement.parameters import ParameterBook, Used, parameter_book

Kind = Literal["federal_tax", "social", "regional_tax", "municipal_tax"]
KINDS: tuple[Kind, ...] = ("federal_tax", "social", "regional_tax", "municipal_tax")
Rank = Literal["registered", "regional_privilege", "municipal_privilege", "ordinary"]
RANKS: tuple[Rank, ...] = ("registered", "regional_privilege", "municipal_privilege", "ordinary")
"""From first to last. Illustrative: no text that ranks these claims was found."""


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """What a creditor claims.

    Attributes:
        creditor: as the announcement names it.
        principal_cents, costs_cents: natural numbers.
        interest_from: the day from which interest runs; None: none is claimed.
        registered_on: the day of the legal mortgage; needed for the rank `registered`, and orders it.
        answered_on: the civil day on which the claim came in.
    """

    creditor: str
    kind: Kind
    rank: Rank
    principal_cents: int
    costs_cents: int = 0
    interest_from: date | None = None
    registered_on: date | None = None
    answered_on: date


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """What a claim gets of the price.

    Attributes:
        late: it came in after the term: it is out, and gets nothing here.
        due_cents: principal, costs and interest to the day.
        paid_cents: None while no price is known.
    """

    claim: Claim
    late: bool
    interest_cents: int
    due_cents: int
    paid_cents: int | None


def book() -> ParameterBook:
    """The parameters."""
    return parameter_book(__package__)


def answer_term(kind: Kind, sent_on: date) -> tuple[date, Used]:
    """The last day on which a creditor of that kind may answer an announcement, and the term in working days.

    Raises:
        NotFound: `parameter_not_in_force`.
    """
    used = book().on(f"answer_term_{kind}", sent_on)
    return add_working_days(sent_on, used.value), used


def payment_term(deed_on: date) -> tuple[date, Used]:
    """The last day on which the notary pays after the deed, and the term in working days."""
    used = book().on("payment_term", deed_on)
    return add_working_days(deed_on, used.value), used


def is_lapsed(sent_on: date, deed_on: date | None, at: date) -> bool:
    """Whether the announcement has lapsed: the deed was not passed within the months that it holds."""
    last = add_months(sent_on, book().on("announcement_holds", sent_on).value)
    return (at if deed_on is None else deed_on) > last


def interest_on(claim: Claim, until: date) -> tuple[int, tuple[Used, ...]]:
    """Simple interest on the principal from `interest_from` up to and without `until`, with the rates it used.

    A rate that changes in between holds for its own days; a year has 365 days. Rounded once, half a cent upwards.

    Raises:
        NotFound: `parameter_not_in_force`.
    """
    begins = claim.interest_from
    if begins is None or begins >= until:
        return 0, ()
    exact, used, day = 0, [], begins
    while day < until:
        rate = book().on(f"interest_{claim.kind}", day)
        ends = until if rate.valid_until is None else min(until, rate.valid_until)
        exact += claim.principal_cents * rate.value * (ends - day).days
        used.append(rate)
        day = ends
    # The rate is in basis points: hundredths of a percent.
    return (2 * exact + 3_650_000) // 7_300_000, tuple(used)


def distribute(
    claims: Sequence[Claim], sent_on: date, until: date, price_cents: int | None
) -> tuple[Share, ...]:
    """Each claim with interest to `until` and what it gets of the price, by rank; late ones last, with nothing.

    Within `registered` the older mortgage goes first. Within any other rank what is left is shared in proportion to
    what is due, to the cent: whole cents by the largest remainder, equal remainders by the order of the claims. Nobody
    gets more than is due, and all together never more than the price.

    Raises:
        NotFound: `parameter_not_in_force`.
    """
    rows: list[tuple[Claim, bool, int, int]] = []
    for claim in claims:
        interest, _ = interest_on(claim, until)
        late = claim.answered_on > answer_term(claim.kind, sent_on)[0]
        rows.append((claim, late, interest, claim.principal_cents + claim.costs_cents + interest))
    paid: dict[int, int] = {}
    left = price_cents or 0
    for rank in RANKS:
        places = [n for n, (claim, late, _, _) in enumerate(rows) if claim.rank == rank and not late]
        if rank == "registered":
            groups = [
                [n for n in places if _mortgage_day(rows[n][0]) == day]
                for day in sorted({_mortgage_day(rows[n][0]) for n in places})
            ]
        else:
            groups = [places]
        for group in groups:
            for place, part in zip(group, _shared(left, [rows[n][3] for n in group]), strict=True):
                paid[place] = part
            left -= sum(paid[n] for n in group)
    shares = [
        Share(
            claim=claim,
            late=late,
            interest_cents=interest,
            due_cents=due,
            paid_cents=None if price_cents is None else paid.get(place, 0),
        )
        for place, (claim, late, interest, due) in enumerate(rows)
    ]
    return tuple(
        sorted(
            shares,
            key=lambda share: (
                share.late,
                RANKS.index(share.claim.rank),
                _mortgage_day(share.claim),
            ),
        )
    )


def _mortgage_day(claim: Claim) -> date:
    """For the order within the rank: one whose day is not known goes last."""
    return claim.registered_on or date.max


def _shared(amount: int, due: Sequence[int]) -> list[int]:
    """`amount` shared in proportion to what is due, nobody getting more than that."""
    total = sum(due)
    if amount >= total:
        return list(due)
    parts = [amount * each // total for each in due]
    by_remainder = sorted(range(len(due)), key=lambda n: -(amount * due[n] % total))
    for place in by_remainder[: amount - sum(parts)]:
        parts[place] += 1
    return parts
