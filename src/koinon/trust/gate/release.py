"""What has passed the gate. Only the gate can make one; governed routes encode nothing else."""

from typing import Generic, NoReturn, TypeVar

from koinon.trust.gate.model import ExchangeId, Filtered, Receipt
from koinon.trust.rules import Decision

T = TypeVar("T")

# Held by this package alone. Python cannot hide it from someone who means to take it; a test demands that no other
# module of the project names it, and no code of others is loaded into the gate's process.
_SEAL = object()


class Released(Generic[T]):
    """A value that was decided on, minimised and durably recorded before anybody may send it.

    Attributes:
        value: only what was both asked and allowed.
        exchange: the exchange it belongs to.
        authorisation: number of the authorisation.
        decision: on the main resource: rule, version, deliberation, article.
        filtered: what was asked and did not leave.
        receipt: the promise of its entry.
    """

    __slots__ = ("authorisation", "decision", "exchange", "filtered", "receipt", "value")

    def __init__(
        self,
        value: T,
        *,
        exchange: ExchangeId,
        authorisation: str,
        decision: Decision,
        filtered: tuple[Filtered, ...],
        receipt: Receipt,
        seal: object,
    ) -> None:
        if seal is not _SEAL:
            raise TypeError("only the gate releases")
        self.value = value
        self.exchange = exchange
        self.authorisation = authorisation
        self.decision = decision
        self.filtered = filtered
        self.receipt = receipt

    def __reduce__(self) -> NoReturn:
        raise TypeError("a released value does not leave its process except through an edge")
