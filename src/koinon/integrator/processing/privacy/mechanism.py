"""Counts, sums and histograms with noise that hides whether any one subject is in the data.

Neighbouring tables differ in one subject, who has one row. Values are whole numbers and the noise is drawn exactly from
discrete distributions, so that no last bit of a floating-point number tells what was added to.

Source: C. Dwork et al., "Calibrating noise to sensitivity in private data analysis", TCC (2006); C. Canonne, G. Kamath,
T. Steinke, "The discrete Gaussian for differential privacy", NeurIPS (2020); I. Mironov, "On significance of the least
significant bits for differential privacy", CCS (2012).
"""

from __future__ import annotations

from decimal import Decimal
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal

import msgspec

from koinon.base.errors import Invalid
from koinon.base.late import late
from koinon.integrator.processing.engine import connect
from koinon.integrator.processing.flow import SUBJECT

if TYPE_CHECKING:
    import pyarrow
else:
    pyarrow = late("pyarrow")

MOST_EPSILON: Final = Decimal(10)
LEAST_EPSILON: Final = Decimal("0.000001")
MOST_DELTA: Final = Decimal("0.00001")
OTHER: Final = "*"
_ALPHA = 0.05
_MOST_CATEGORIES = 10_000
_LARGEST = 2**52


class Query(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked of a table with one row for each subject.

    Attributes:
        kind: `count` of rows, `sum` of `column` with each value first cut to `lower`..`upper`, or `histogram` of
            `column` over `categories`.
        categories: named beforehand: those that happen to be there would tell who is. What is in none of them, or
            unknown, is counted under `*`.
    """

    kind: Literal["count", "sum", "histogram"]
    column: str | None = None
    lower: int | None = None
    upper: int | None = None
    categories: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        bounded = self.lower is not None and self.upper is not None and self.lower < self.upper
        inside = bounded and max(abs(self.lower or 0), abs(self.upper or 0)) < 2**40
        right = {
            "count": self.column is None and not self.categories and self.lower is None,
            "sum": self.column is not None and inside and not self.categories,
            "histogram": self.column is not None
            and 1 <= len(self.categories) <= _MOST_CATEGORIES
            and len(set(self.categories)) == len(self.categories)
            and OTHER not in self.categories
            and self.lower is None,
        }
        if not right[self.kind]:
            raise Invalid("privacy_query_malformed", kind=self.kind)

    @property
    def sensitivity(self) -> int:
        """By how much one subject can change the answer: the sum over its numbers, and each of them."""
        return max(abs(self.lower or 0), abs(self.upper or 0)) if self.kind == "sum" else 1


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a release costs: pure epsilon (discrete Laplace), or epsilon at a delta (discrete Gaussian)."""

    epsilon: Decimal
    delta: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        sound = all(each.is_finite() for each in (self.epsilon, self.delta))
        # Numbers of the database: six and twelve decimals, or what is spent would not be what was asked.
        inside = sound and LEAST_EPSILON <= self.epsilon <= MOST_EPSILON and 0 <= self.delta <= MOST_DELTA
        if not inside or self.epsilon != round(self.epsilon, 6) or self.delta != round(self.delta, 12):
            raise Invalid(
                "privacy_price_malformed", most_epsilon=str(MOST_EPSILON), most_delta=str(MOST_DELTA)
            )


class Noisy(msgspec.Struct, frozen=True, kw_only=True):
    """An answer with noise.

    Attributes:
        values: by category; `*` alone for a count or a sum.
        scale: of the distribution.
        within: with probability 95 %, how far a value is from the true one at most.
    """

    query: Query
    price: Price
    mechanism: Literal["discrete_laplace", "discrete_gaussian"]
    values: dict[str, int]
    scale: float
    within: float


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What the noise of an answer would be, known before anything is asked: it does not depend on the data.

    Attributes:
        scale: of the distribution, in the unit of the answer.
        half, mostly, nearly: with probability 50 %, 95 % and 99.9 %, how far a value is from the true one at most.
    """

    mechanism: Literal["discrete_laplace", "discrete_gaussian"]
    scale: float
    half: float
    mostly: float
    nearly: float


def expect_noise(query: Query, price: Price) -> Expected:
    """The noise that `price` buys for `query`. Costs nothing and tells nothing.

    Source: the accuracy of OpenDP, `discrete_laplacian_scale_to_accuracy` and `discrete_gaussian_scale_to_accuracy`.
    """
    dp = _library()
    scale = _scale(query.sensitivity, float(price.epsilon), float(price.delta))
    width = dp.discrete_gaussian_scale_to_accuracy if price.delta else dp.discrete_laplacian_scale_to_accuracy
    half, mostly, nearly = (float(width(scale, alpha)) for alpha in (0.5, _ALPHA, 0.001))
    return Expected(
        mechanism="discrete_gaussian" if price.delta else "discrete_laplace",
        scale=float(scale),
        half=half,
        mostly=mostly,
        nearly=nearly,
    )


def measure_exactly(rows: pyarrow.Table, query: Query, **engine: Any) -> dict[str, int]:
    """The true numbers, which must not leave the process.

    Raises:
        Invalid: `privacy_column_unknown`, `privacy_column_inexact`, `privacy_subject_repeated`.
    """
    columns = [SUBJECT, *([query.column] if query.column else [])]
    for column in columns:
        if column not in rows.column_names:
            raise Invalid("privacy_column_unknown", column=column)
    connection = connect(**engine)
    try:
        connection.register("given", rows.select(columns).rename_columns(["s", "v"][: len(columns)]))
        [(twice,)] = connection.execute("SELECT count(s) - count(DISTINCT s) FROM given").fetchall()
        if twice:
            raise Invalid("privacy_subject_repeated")
        if query.kind == "count":
            [(count,)] = connection.execute("SELECT count(s) FROM given").fetchall()
            return {OTHER: int(count)}
        if query.kind == "sum":
            if not pyarrow.types.is_integer(rows.schema.field(query.column).type):
                raise Invalid("privacy_column_inexact", column=query.column)
            # What is unknown adds the nearest to nothing that the bounds allow.
            [(total,)] = connection.execute(
                "SELECT coalesce(sum(greatest(least(coalesce(v, 0), $2), $1)::HUGEINT), 0) FROM given "
                "WHERE s IS NOT NULL",
                [query.lower, query.upper],
            ).fetchall()
            return {OTHER: int(total)}
        found = dict(
            connection.execute(
                "SELECT CAST(v AS VARCHAR), count(*) FROM given WHERE s IS NOT NULL GROUP BY 1"
            ).fetchall()
        )
        named = {category: int(found.pop(category, 0)) for category in query.categories}
        return {**named, OTHER: sum(found.values())}
    finally:
        connection.close()


def demand_one_row_each(rows: pyarrow.Table, **engine: Any) -> None:
    """No subject has two rows. Ask it of all rows: of a few that were chosen it would tell something about them.

    Raises:
        Invalid: `privacy_subject_repeated`.
    """
    measure_exactly(rows, Query(kind="count"), **engine)


def add_noise(exact: dict[str, int], query: Query, price: Price) -> Noisy:
    """The answer as it may leave, once `price` is paid. Each call draws anew: pay for each.

    A true number beyond 2**52 is cut to it, unsaid: a refusal would tell for nothing on which side of it that is.
    """
    exact = {name: max(-_LARGEST, min(value, _LARGEST)) for name, value in exact.items()}
    expected = expect_noise(query, price)
    make = _gaussian if price.delta else _laplace
    noisy = make(expected.scale)(list(exact.values()))
    return Noisy(
        query=query,
        price=price,
        mechanism=expected.mechanism,
        values=dict(zip(exact, (int(value) for value in noisy), strict=True)),
        scale=expected.scale,
        within=expected.mostly,
    )


@cache
def _library() -> Any:
    """OpenDP, imported by who draws noise first."""
    import opendp.prelude

    # Names the parts whose proofs are its contributors'; discrete Laplace and Gaussian are among them.
    opendp.prelude.enable_features("contrib")
    return opendp.prelude


def _laplace(scale: float) -> Any:
    dp = _library()
    return dp.m.make_laplace(dp.vector_domain(dp.atom_domain(T="i64")), dp.l1_distance(T="i64"), scale=scale)


def _gaussian(scale: float) -> Any:
    dp = _library()
    return dp.m.make_gaussian(dp.vector_domain(dp.atom_domain(T="i64")), dp.l2_distance(T="f64"), scale=scale)


@lru_cache(maxsize=256)
def _scale(sensitivity: int, epsilon: float, delta: float) -> float:
    """The smallest scale for which the library proves the price; the search takes many times as long as the noise."""
    dp = _library()
    if not delta:
        return float(dp.binary_search_param(_laplace, d_in=sensitivity, d_out=epsilon))

    def approximate(scale: float) -> Any:
        return dp.c.make_fix_delta(dp.c.make_zCDP_to_approxDP(_gaussian(scale)), delta)

    return float(dp.binary_search_param(approximate, d_in=float(sensitivity), d_out=(epsilon, delta)))
