"""The kinds of value a field of a message can have: what is valid, and how it is written as text.

Pure. A value that is valid here is valid in every syntax, save two limits of fixed-length records: the bytes
a text takes, and the characters its encoding has.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any, Literal

import msgspec

from koinon.integrator.drivers import PartialDate, is_enterprise_number, is_national_number

Kind = Literal[
    "text", "number", "money", "flag", "date", "partial_date", "national_number", "enterprise_number"
]
MAX_DIGITS = 15
"""Digits of a number, an amount, a sequence number. Source: KSZ/BCSS SequenceNumberType, 15 digits; and below
2^53, so that every reader of JSON keeps them exact."""
MAX_TEXT = 1000


class BadValue(Exception):
    """A value that its kind does not know, with the reason code of a reject."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class NationalNumber(msgspec.Struct, frozen=True):
    """A national or BIS number as a value.

    Attributes:
        replaced_by: the number that took its place, where the register replaced it. Both travel: nobody
            exchanges one for the other on the way.
    """

    number: str
    replaced_by: str | None = None


# Control characters of both sets, line and paragraph separators, surrogates, non-characters that XML 1.0
# section 2.2 refuses, the byte order mark, and controls of writing direction, which make a text read
# differently from what it is.
FORBIDDEN = "\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufeff\ufffe\uffff"
_FORBIDDEN = re.compile(f"[{FORBIDDEN}]")
_DATE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}")
INTEGER = "-?(?:0|[1-9][0-9]{0,14})"
_INTEGER = re.compile(INTEGER)


def check_text(value: str, width: int) -> str:
    """`value`, which is a valid text of at most `width` characters.

    A text is not empty, does not start or end with a space (padding would take it) and has none of
    `FORBIDDEN`.

    Raises:
        BadValue: `text_empty`, `text_too_long`, `text_forbidden_character`, `text_outer_space`.
    """
    if not value:
        raise BadValue("text_empty")
    if len(value) > width:
        raise BadValue("text_too_long")
    if not value.isprintable() and _FORBIDDEN.search(value):
        raise BadValue("text_forbidden_character")
    if value[0] == " " or value[-1] == " ":
        raise BadValue("text_outer_space")
    return value


def has_forbidden(text: str) -> bool:
    """Whether a character of `FORBIDDEN` is in `text`."""
    return not text.isprintable() and _FORBIDDEN.search(text) is not None


def check_integer(value: object, width: int) -> int:
    """`value`, an integer of at most `width` digits.

    Raises:
        BadValue: `number_malformed`, `number_out_of_range`.
    """
    # bool is an int to Python, and would pass for 0 or 1.
    if type(value) is not int:
        raise BadValue("number_malformed")
    if not -(10**width) < value < 10**width:
        raise BadValue("number_out_of_range")
    return value


def check_national_number(number: object) -> str:
    """`number`, which has the form and the check digits of a national or BIS number.

    Raises:
        BadValue: `national_number_malformed`.
    """
    if not isinstance(number, str) or not is_national_number(number):
        raise BadValue("national_number_malformed")
    return number


def check_enterprise_number(number: object) -> str:
    """`number`, which has the form and the check digits of an enterprise number.

    Raises:
        BadValue: `enterprise_number_malformed`.
    """
    if not isinstance(number, str) or not is_enterprise_number(number):
        raise BadValue("enterprise_number_malformed")
    return number


def _check_str(value: object, width: int) -> str:
    if type(value) is not str:
        raise BadValue("text_malformed")
    return check_text(value, width)


def _check_flag(value: object, _width: int) -> bool:
    if type(value) is not bool:
        raise BadValue("flag_malformed")
    return value


def _check_date(value: object, _width: int) -> date:
    if type(value) is not date:
        raise BadValue("date_malformed")
    return value


def _check_partial(value: object, _width: int) -> PartialDate:
    if not isinstance(value, PartialDate):
        raise BadValue("date_malformed")
    return read_partial(str(value))


def _check_number_value(value: object, _width: int) -> NationalNumber:
    if not isinstance(value, NationalNumber):
        raise BadValue("national_number_malformed")
    check_national_number(value.number)
    if value.replaced_by is not None:
        check_national_number(value.replaced_by)
    return value


_CHECKS: Mapping[Kind, Callable[[Any, int], Any]] = {
    "text": _check_str,
    "number": check_integer,
    "money": check_integer,
    "flag": _check_flag,
    "date": _check_date,
    "partial_date": _check_partial,
    "national_number": _check_number_value,
    "enterprise_number": lambda value, _width: check_enterprise_number(value),
}


def check_value(kind: Kind, value: object, width: int) -> Any:
    """`value`, which is one of `kind`.

    Raises:
        BadValue: it is not.
    """
    return _CHECKS[kind](value, width)


def read_integer(text: str, width: int) -> int:
    """The integer that `text` writes without superfluous zeros or sign.

    Raises:
        BadValue: `number_malformed`, `number_out_of_range`.
    """
    if not _INTEGER.fullmatch(text):
        digits = text.removeprefix("-")
        long = digits.isascii() and digits.isdigit() and len(digits) > MAX_DIGITS and digits[0] != "0"
        raise BadValue("number_out_of_range" if long else "number_malformed")
    return check_integer(int(text), width)


def read_date(text: str) -> date:
    """The date that `text` writes as `yyyy-mm-dd`.

    Raises:
        BadValue: `date_malformed`: another form, or no such day.
    """
    # The pattern first: fromisoformat also takes weeks and basic forms.
    if not _DATE.fullmatch(text):
        raise BadValue("date_malformed")
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise BadValue("date_malformed") from None


def read_partial(text: str) -> PartialDate:
    """The date that `text` writes as `yyyy-mm-dd`, zero for what is unknown.

    Raises:
        BadValue: `date_malformed`.
    """
    try:
        return PartialDate.parse(text)
    except ValueError:
        raise BadValue("date_malformed") from None


def _read_flag(text: str, _width: int) -> bool:
    if text not in ("true", "false"):
        raise BadValue("flag_malformed")
    return text == "true"


_READERS: Mapping[Kind, Callable[[str, int], Any]] = {
    "text": check_text,
    "number": read_integer,
    "money": read_integer,
    "flag": _read_flag,
    "date": lambda text, _width: read_date(text),
    "partial_date": lambda text, _width: read_partial(text),
    "national_number": lambda text, _width: NationalNumber(check_national_number(text)),
    "enterprise_number": lambda text, _width: check_enterprise_number(text),
}


def read_text(kind: Kind, text: str, width: int) -> Any:
    """The value of `kind` that `text` writes, as XML writes it.

    Raises:
        BadValue: it does not.
    """
    return _READERS[kind](text, width)


def write_text(value: Any) -> str:
    """`value` as XML writes it: `true`, `yyyy-mm-dd`, cents; of a national number the number alone."""
    if value is True:
        return "true"
    if value is False:
        return "false"
    if isinstance(value, NationalNumber):
        return value.number
    return str(value)
