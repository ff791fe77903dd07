"""What an audit says."""

from uuid import UUID

import msgspec

from koinon.trust.ledger.model import Log


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that does not fit, and where.

    Attributes:
        code: what; `docs/design/ledger.md` lists them.
        where: the table or the object, e.g. `ledger.entry.party`, `tile/0/000.p/5`.
        index, entry: of the leaf concerned, where it is one leaf.
        why: what was expected and found.
    """

    code: str
    log: Log
    generation: int
    where: str
    index: int | None = None
    entry: UUID | None = None
    why: str = ""


class Report(msgspec.Struct, kw_only=True):
    """What was checked of one generation of a log.

    Attributes:
        size: leaves by the head; `published` by the checkpoint; `cosigned` by the witnesses' newest.
        private: private parts opened and found as committed; `erased` of those that cannot be opened any more.
        repaired: objects that were missing and have been published again.
        witnesses_asked: how many witnesses told what they last cosigned.
    """

    log: Log
    generation: int
    origin: str
    size: int = 0
    published: int = 0
    cosigned: int = 0
    private: int = 0
    erased: int = 0
    repaired: int = 0
    witnesses_asked: int = 0
    findings: list[Finding] = msgspec.field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Nothing was found."""
        return not self.findings

    def add(
        self, code: str, where: str, *, index: int | None = None, entry: UUID | None = None, why: str = ""
    ) -> None:
        """The finding is in the report."""
        self.findings.append(
            Finding(
                code=code,
                log=self.log,
                generation=self.generation,
                where=where,
                index=index,
                entry=entry,
                why=why,
            )
        )
