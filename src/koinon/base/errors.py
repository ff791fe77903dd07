"""One root for every error a caller may see, with a stable code and facts.

A slice raises one of the kinds below with a code of its own (`raise Conflict("convention_signed", id=...)`),
or subclasses a kind by meaning. The edges map a kind once: to an RFC 9457 problem and to an exit code.
Facts are JSON values that may be shown to the caller: no personal data, no secrets.
"""

from typing import Any, ClassVar

PROBLEM_TYPE = "application/problem+json"


def _plain(value: Any, language: str) -> Any:
    """Of a text in three languages the one that is read."""
    return value[language] if isinstance(value, dict) and set(value) == {"nl", "fr", "en"} else value


class KoinonError(Exception):
    """Something a caller must be told about.

    Attributes:
        code: stable, lower_snake_case; part of the interface, listed in `docs/reference/errors.md`.
        facts: what the message needs: names, limits, positions.
    """

    status: ClassVar[int] = 500
    exit_code: ClassVar[int] = 70
    title: ClassVar[str] = "Internal error"

    def __init__(self, code: str, /, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts

    def __str__(self) -> str:
        return self.told("en")  # there is no reader to ask

    def told(self, language: str) -> str:
        """`code (name=value, ...)`, facts in three languages in `language`: `nl`, `fr` or `en`."""
        facts = ", ".join(f"{name}={_plain(value, language)}" for name, value in self.facts.items())
        return f"{self.code} ({facts})" if facts else self.code

    def problem(self, instance: str | None = None) -> dict[str, Any]:
        """The RFC 9457 problem document: `type`, `title`, `status`, `code`, the facts, `instance`."""
        document: dict[str, Any] = {
            "type": f"urn:koinon:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
        }
        if self.facts:
            document["facts"] = self.facts
        if instance is not None:
            document["instance"] = instance
        return document


class Invalid(KoinonError):
    """The input is malformed or contradicts itself."""

    status = 400
    exit_code = 65
    title = "Invalid input"


class NotIdentified(KoinonError):
    """Nobody, or somebody whose proof does not hold, is asking."""

    status = 401
    exit_code = 77
    title = "Not identified"


class NotAllowed(KoinonError):
    """The one who asks is known and may not. A refusal carries `rule`, `version` and `reason` as facts."""

    status = 403
    exit_code = 77
    title = "Not allowed"


class NotFound(KoinonError):
    """There is no such thing, or none that the one who asks may know of."""

    status = 404
    exit_code = 66
    title = "Not found"


class Conflict(KoinonError):
    """The state of the thing does not permit the change."""

    status = 409
    exit_code = 65
    title = "Conflict"


class TooLarge(KoinonError):
    """The input is over its limit, given as the fact `limit_bytes`."""

    status = 413
    exit_code = 65
    title = "Too large"


class RangeNotSatisfiable(KoinonError):
    """Nothing of what is asked for exists; the fact `size` says how many bytes there are."""

    status = 416
    exit_code = 65
    title = "Range not satisfiable"


class TooMany(KoinonError):
    """The caller is over its rate; the fact `retry_after_seconds` says when to come back."""

    status = 429
    exit_code = 75
    title = "Too many requests"


class Unavailable(KoinonError):
    """Something this depends on does not answer; trying again later may help."""

    status = 503
    exit_code = 69
    title = "Unavailable"
