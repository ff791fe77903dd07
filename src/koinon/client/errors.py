"""What can go wrong between a question and an answer that is believed."""

from typing import Any

from koinon.base.errors import KoinonError, NotFound
from koinon.client.evidence import Evidence


class Refused(KoinonError):
    """The platform refused, and said why.

    Attributes:
        http_status: of the response.
        rule, version, reason: of the rule that refused, where one did.
        facts: all that the problem document tells.
        signed: whether the refusal carries the platform's signature; without it, anybody on the way may have
            written it.
    """

    exit_code = 77
    title = "Refused"

    def __init__(self, code: str, /, *, http_status: int, signed: bool, facts: dict[str, Any]) -> None:
        super().__init__(code)
        self.facts = facts
        self.http_status = http_status
        self.signed = signed
        self.rule: str | None = facts.get("rule")
        self.version: int | None = facts.get("version")
        self.reason: Any = facts.get("reason")


class Untrusted(KoinonError):
    """What came back cannot be believed; nothing of it is shown. The code says what does not hold."""

    status = 502
    exit_code = 76
    title = "Not trusted"


class StreamCut(KoinonError):
    """`stream_cut`: a stream ended before its signed end; the fact `rows` says how many rows had come."""

    status = 502
    exit_code = 75
    title = "Stream cut"


class PromiseBroken(KoinonError):
    """The platform signed that an entry would be in the ledger, and it is not: `promise_broken`.

    The fact `why` is `not_merged` when there is no proof, else what is wrong with the last that was given.

    Attributes:
        evidence: question and answer as they were sent, signatures included: it convinces a third party.
        proof: what was given as proof, if anything was.
    """

    status = 502
    exit_code = 76
    title = "Promise broken"

    def __init__(self, why: str, *, evidence: Evidence, proof: bytes | None = None, **facts: Any) -> None:
        super().__init__("promise_broken", why=why, **facts)
        self.evidence = evidence
        self.proof = proof


class FieldNotAnswered(NotFound):
    """`field_not_answered`: the field has no value; the fact `field_status` says why."""
