"""Numbers of persons and enterprises: their form and check digits, never their existence.

National number (NISS/INSZ): `YYMMDD`, three digits of order, two check digits: 97 less the remainder by 97
of the first nine digits, with a 2 before them for births from 2000. BIS numbers add 20 or 40 to the month.
Source: rijksregister instruction IT 000; KSZ/BCSS type SsinType. Check digits as in `stdnum.be.nn`, which
our tests hold against this.

Numbers that cannot belong to anybody, for synthetic persons: month + 60 (61-72, and 60 where the month is
unknown), the convention of Flanders' MAGDA mock; a synthetic BIS number has month + 80 (80-92): BIS + 20,
then + 60. No register ever issued a month part above 52. (BIS + 40 has no synthetic form: + 60 again would
need three digits.)
"""

from typing import Literal

NumberKind = Literal["register", "bis", "synthetic", "synthetic_bis"]

_KINDS: tuple[tuple[int, int, NumberKind], ...] = (
    (0, 12, "register"),
    (20, 32, "bis"),
    (40, 52, "bis"),
    (60, 72, "synthetic"),
    (80, 92, "synthetic_bis"),
)
_KIND_BY_MONTH: dict[str, NumberKind] = {
    f"{month:02}": kind for first, last, kind in _KINDS for month in range(first, last + 1)
}


def check_digits(nine: str, *, born_from_2000: bool) -> str:
    """The two digits that follow the first nine of a national number."""
    return f"{97 - int('2' + nine if born_from_2000 else nine) % 97:02}"


def national_number_kind(number: str) -> NumberKind | None:
    """What sort of national number this is; None where it is not one: length, digits, month or check digits.

    Both centuries are accepted: the number alone does not tell which.
    """
    if len(number) != 11 or not (number.isascii() and number.isdigit()):
        return None
    kind = _KIND_BY_MONTH.get(number[2:4])
    if kind is None or int(number[4:6]) > 31:
        return None
    nine, check = int(number[:9]), int(number[9:])
    if check in (97 - nine % 97, 97 - (2_000_000_000 + nine) % 97):
        return kind
    return None


def is_national_number(number: str) -> bool:
    """Whether it has the form of a national or BIS number, synthetic ones included."""
    return national_number_kind(number) is not None


def is_synthetic(number: str) -> bool:
    """Whether no real person can have this national number."""
    return (national_number_kind(number) or "").startswith("synthetic")


def is_enterprise_number(number: str) -> bool:
    """Whether it has the form of a KBO/BCE enterprise number: ten digits from 0 or 1, the last two 97 less
    the first eight mod 97.

    Source: royal decree of 24 June 2003 on the Crossroads Bank for Enterprises.
    """
    if len(number) != 10 or number[0] not in "01" or not (number.isascii() and number.isdigit()):
        return False
    return int(number[8:]) == 97 - int(number[:8]) % 97
