"""Cases of a keeper that publishes mutations: its system publishes to a platform here that plays tricks.

The command may name `{url}`, `{key}` and `{pins}` as a system that asks, `{source}`, `{changes}`: a file with a line of
JSON for each change of its register, as `Mutation` (its `sequence` is the number to publish it under), and `{state}`: a
folder that is empty when a case begins and kept while the case starts the command again. It publishes what is in the
file, exits 0 only when the platform took it, and ends.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Self

import msgspec

from koinon.base.errors import Conflict, KoinonError, NotAllowed
from koinon.integrator.conform.command import TIMED_OUT, Command, Ran
from koinon.integrator.conform.model import Case, Cases, demand
from koinon.integrator.conform.simulated import MARK
from koinon.integrator.conform.simulated_mutations import DAY, SERVICE, SOURCE, SimulatedBureau, person
from koinon.integrator.mutations.model import Mutation

_DESIGN = "design/mutations.md"
_MINIMUM = "GDPR art. 5(1)(c); design/mutations.md"
_case = Cases("keeper")
KEEPER: Sequence[Case] = _case.all
_ALL = (1, 2, 3, 4, 5)


def change(sequence: int, kind: str = "changed", **more: Any) -> dict[str, Any]:
    """A line of the file: this person changed."""
    line = {"sequence": sequence, "kind": kind, "service": SERVICE, "subject": person(sequence)}
    return {**line, "effective_on": DAY.isoformat(), **more}


class KeeperKit:
    """The simulated platform, and how the keeper's program is started."""

    def __init__(self, command: str | Command) -> None:
        self._command = command if isinstance(command, Command) else Command(command)
        self.bureau = SimulatedBureau(self._command.key.verify_key)

    def __enter__(self) -> Self:
        self.bureau.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bureau.stop()
        self._command.close()

    def begin(self) -> None:
        """The platform has heard nothing of the source, and the program kept nothing."""
        self.bureau.reset([])
        state = self._command.new_path("state")
        state.mkdir()
        self._values = {
            "url": self.bureau.url,
            "key": str(self._command.key_file),
            "pins": str(self._command.new_path("pins")),
            "source": SOURCE,
            "state": str(state),
        }

    def run(
        self,
        lines: Iterable[dict[str, Any]] | None = None,
        trick: str = "honest",
        refusal: KoinonError | None = None,
    ) -> Ran:
        """How the program ends that publishes these changes (five of them where none are given)."""
        self.bureau.begin(trick, refusal)
        file = self._command.new_path("changes")
        chosen = [change(n) for n in _ALL] if lines is None else lines
        file.write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in chosen))
        return self._command.run({**self._values, "changes": str(file)})

    def sent(self) -> list[Mutation]:
        """Every mutation that came, in the order in which it came."""
        return [each for request in self.bureau.published for each in request.mutations]


def _well(kit: KeeperKit, ran: Ran) -> None:
    demand(ran.exit != TIMED_OUT, "it did not end")
    demand(kit.bureau.asked, f"it asked nothing (exit {ran.exit})")
    fault = next((each.fault for each in kit.bureau.asked if each.fault), "")
    demand(not fault, f"a request of it is refused: {fault}")
    demand(not kit.bureau.fault, f"a publication of it is refused: {kit.bureau.fault}")


def _whole(kit: KeeperKit, lines: Iterable[dict[str, Any]]) -> None:
    """What the platform holds is what the file says, number by number."""
    wanted = {line["sequence"]: msgspec.convert(line, Mutation, strict=False) for line in lines}
    held = kit.bureau.held
    missing = sorted(set(wanted) - set(held))
    demand(not missing, f"never published: {missing}")
    more = sorted(set(held) - set(wanted))
    demand(not more, f"published though nothing happened: {more}")
    wrong = sorted(n for n in wanted if held[n] != wanted[n])
    demand(not wrong, f"published as something else: {wrong}")


@_case("K-PUB-01", "Every change is published under its number, signed", _DESIGN)
def _published(kit: KeeperKit) -> None:
    kit.begin()
    lines = [
        change(1),
        change(2, "corrected"),
        change(3, "died"),
        change(4, "replaced", replaced_by=person(9)),
        change(5, "separated", replaced_by=person(9)),
    ]
    ran = kit.run(lines)
    _well(kit, ran)
    _whole(kit, lines)
    demand(ran.exit == 0, f"exit {ran.exit} though all was taken")


@_case("K-KEY-01", "Keys only: nothing of the content leaves", _MINIMUM)
def _keys_only(kit: KeeperKit) -> None:
    kit.begin()
    ran = kit.run([change(1), change(2, content=MARK)])
    demand(ran.exit != TIMED_OUT, "it did not end")
    demand(kit.bureau.asked or ran.exit, "it asked nothing, and exit 0")
    demand(not any(MARK.encode() in each for each in kit.bureau.raw), "the content of a change left")
    known = {*Mutation.__struct_fields__}
    for body in kit.bureau.raw:
        document = msgspec.json.decode(body)
        for each in document.get("mutations", ()) if isinstance(document, dict) else ():
            more = sorted(set(each) - known) if isinstance(each, dict) else ["no object"]
            demand(not more, f"more than keys: {more}")


@_case("K-ORD-01", "Numbers are published in their order", _DESIGN)
def _in_order(kit: KeeperKit) -> None:
    kit.begin()
    ran = kit.run([change(n) for n in (3, 1, 5, 2, 4)])
    _well(kit, ran)
    _whole(kit, [change(n) for n in _ALL])
    # Inside one publication the platform puts them in order; between two it waits for what is missing.
    highest = 0
    for request in kit.bureau.published:
        lowest = min(each.sequence for each in request.mutations)
        demand(lowest <= highest + 1, f"number {lowest} was published before {highest + 1}")
        highest = max(highest, *(each.sequence for each in request.mutations))


@_case("K-GAP-01", "What the platform misses is published again, as it was", _DESIGN)
def _lost(kit: KeeperKit) -> None:
    kit.begin()
    first = kit.run(trick="lost")
    _well(kit, first)
    if 2 not in kit.bureau.held:
        demand(
            first.exit != 0 or "missing" in first.output,
            "exit 0, and it does not say that something is missing",
        )
        _well(kit, kit.run())
    _whole(kit, [change(n) for n in _ALL])


@_case("K-GAP-02", "A number that it never gave out is void or missing, and the others keep theirs", _DESIGN)
def _own_gap(kit: KeeperKit) -> None:
    kit.begin()
    lines = [change(1), change(2), change(4)]
    ran = kit.run(lines)
    _well(kit, ran)
    found = kit.bureau.held.pop(3, None)
    _whole(kit, lines)
    if found is None:
        said = ran.exit != 0 or "missing" in ran.output
        demand(said, "exit 0, and it does not say that number 3 is missing")
    else:
        demand(found.kind == "void", f"number 3 was published as {found.kind}")


@_case("K-REP-01", "After a cut the same is published again, under the same numbers", _DESIGN)
def _cut(kit: KeeperKit) -> None:
    kit.begin()
    ran = kit.run(trick="cut_after")
    if len(kit.bureau.published) == 1:
        demand(ran.exit != 0, "exit 0 without an answer")
        ran = kit.run()
    _well(kit, ran)
    _whole(kit, [change(n) for n in _ALL])
    demand(ran.exit == 0, f"exit {ran.exit} though all was taken")


@_case("K-REP-02", "A second start gives no new numbers to what was published", _DESIGN)
def _second(kit: KeeperKit) -> None:
    kit.begin()
    kit.run()
    ran = kit.run([change(n) for n in (*_ALL, 6)])
    _well(kit, ran)
    _whole(kit, [change(n) for n in (*_ALL, 6)])


@_case("K-SIG-01", "No two requests carry the same nonce", "RFC 9421 section 7.2.2")
def _nonces(kit: KeeperKit) -> None:
    kit.begin()
    for _ in range(2):
        ran = kit.run()
        fault = next((each.fault for each in kit.bureau.asked if each.fault), "")
        demand(fault != "signature_replayed", "a nonce came twice")
        _well(kit, ran)


def _not_believed(id_: str, trick: str, purpose: str, basis: str) -> None:
    @_case(id_, purpose, basis)
    def check(kit: KeeperKit) -> None:
        kit.begin()
        ran = kit.run(trick=trick)
        _well(kit, ran)
        demand(ran.exit != 0, "exit 0: it takes for published what nobody took")


_not_believed("K-ANS-01", "unsigned", "An answer without signature is not believed", "RFC 9421 section 3.2")
_not_believed(
    "K-ANS-02", "stranger", "An answer signed by a strange key is not believed", "RFC 9421 section 3.2"
)
_not_believed("K-ANS-03", "altered", "An answer that was changed is not believed", "RFC 9530 section 2")
_not_believed(
    "K-ANS-04", "other_request", "An answer to another publication is not believed", "RFC 9421 section 2.4"
)


def _refused(id_: str, error: KoinonError, purpose: str) -> None:
    @_case(id_, purpose, "RFC 9457 section 3; reference/errors.md")
    def check(kit: KeeperKit) -> None:
        kit.begin()
        ran = kit.run(refusal=error)
        demand(ran.exit != TIMED_OUT, "it did not end")
        demand(kit.bureau.asked, f"it asked nothing (exit {ran.exit})")
        demand(ran.exit != 0, "exit 0 for a refusal")
        demand(error.code in ran.output, f"its output does not say {error.code}")


_refused("K-REF-01", NotAllowed("not_keeper"), "It does not keep the source: said by its code")
_refused("K-REF-02", Conflict("sequence_reused"), "A number that meant something else: said by its code")
_refused("K-REF-03", Conflict("sequence_too_far_ahead"), "Too far ahead of a gap: said by its code")

__all__: list[str] = ["KEEPER", "KeeperKit", "change"]
