"""Cases of a subscriber to mutations: its system reads, or is pushed to, on a platform here that plays tricks.

The command may name `{url}`, `{key}` and `{pins}` as a system that asks, `{subscription}` (an id), and `{state}`: a
folder that is empty when a case begins and kept while the case starts the command again. It goes on from where it was,
writes for each number that takes effect a line that is a JSON object with `number`, acknowledges, and ends when there
is nothing more. A command that names `{port}` is pushed to instead: it listens there on 127.0.0.1, takes `POST /told`,
and runs until it is told to end.
"""

import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

from koinon.base.errors import KoinonError
from koinon.integrator.conform.command import TIMED_OUT, Command, Ran, Started
from koinon.integrator.conform.model import Case, Cases, NotApplicable, demand
from koinon.integrator.conform.simulated_mutations import Pushed, SimulatedBureau, changes, person

_DESIGN = "design/mutations.md"
_MINIMUM = "GDPR art. 5(1)(b) and (c); design/mutations.md"
_case = Cases("subscriber")
SUBSCRIBER: Sequence[Case] = _case.all
_FIVE = ("changed",) * 5
_START_SECONDS = 20.0


class SubscriberKit:
    """The simulated platform, and how the subscriber's program is started.

    `fetches`: the program asks anew, through the ordinary exchange, about each person it was told of.
    """

    def __init__(self, command: str | Command, *, fetches: bool = False) -> None:
        self._command = command if isinstance(command, Command) else Command(command)
        self.fetches = fetches
        self.bureau = SimulatedBureau(self._command.key.verify_key)

    def __enter__(self) -> Self:
        self.bureau.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bureau.stop()
        self._command.close()

    def begin(self, *kinds: str) -> None:
        """A new subscription with a number of each kind, of which nobody has heard.

        Raises:
            NotApplicable: the program is pushed to, and reads nothing.
        """
        if self._command.names("port"):
            raise NotApplicable("the command is pushed to ({port})")
        self._begin(kinds or _FIVE)

    def run(self, trick: str = "honest", refusal: KoinonError | None = None) -> Ran:
        """How the program ends against this trick; what it kept since `begin` is there."""
        self.bureau.begin(trick, refusal)
        return self._command.run(self._values)

    @contextmanager
    def listening(self, *kinds: str) -> Iterator["Listener"]:
        """The program runs and takes pushes.

        Raises:
            NotApplicable: it is not pushed to.
            Failed: it does not listen.
        """
        if not self._command.names("port"):
            raise NotApplicable("the command is not pushed to: it names no {port}")
        self._begin(kinds or _FIVE)
        self.bureau.begin()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = int(free.getsockname()[1])
        with self._command.running({**self._values, "port": str(port)}) as started:
            _await_port(port, started)
            yield Listener(self.bureau, port, started)

    def _begin(self, kinds: Sequence[str]) -> None:
        self.bureau.reset(changes(*kinds))
        state = self._command.new_path("state")
        state.mkdir()
        self._values = {
            "url": self.bureau.url,
            "key": str(self._command.key_file),
            "pins": str(self._command.new_path("pins")),
            "subscription": str(self.bureau.subscription),
            "state": str(state),
        }


class Listener:
    """A subscriber's program that runs."""

    def __init__(self, bureau: SimulatedBureau, port: int, started: Started) -> None:
        self._bureau, self._port, self._started = bureau, port, started

    def push(self, after: int, trick: str = "honest", count: int = 2) -> Pushed:
        """What it says to the numbers after `after`."""
        delivery = self._bureau.delivery(after, trick, count)
        return self._bureau.push(self._port, delivery, trick)

    @property
    def effects(self) -> list[int]:
        """What took effect until now."""
        return self._started.so_far.effects


def _await_port(port: int, started: Started) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
            return
        except OSError:
            ended = started.ended
            demand(ended is None, f"it ended (exit {ended}) and never listened")
            demand(time.monotonic() < deadline, f"it does not listen after {_START_SECONDS:.0f} s")
            time.sleep(0.02)


def _once_in_order(effects: Sequence[int], numbers: Sequence[int]) -> None:
    doubled = sorted({n for n in effects if effects.count(n) > 1})
    demand(not doubled, f"took effect more than once: {doubled}")
    demand(list(effects) == sorted(effects), f"took effect in the order {list(effects)}")
    lost = sorted(set(numbers) - set(effects))
    demand(not lost, f"never took effect: {lost}")
    more = sorted(set(effects) - set(numbers))
    demand(not more, f"took effect though it must not: {more}")


def _asked(kit: SubscriberKit, ran: Ran) -> None:
    asked = kit.bureau.asked
    demand(asked, f"it asked nothing (exit {ran.exit})")
    demand(ran.exit != TIMED_OUT, "it did not end")
    fault = next((each.fault for each in asked if each.fault), "")
    demand(not fault, f"a request of it is refused: {fault}")


@_case("M-SEQ-01", "Each number takes effect, once, in order", _DESIGN)
def _honest(kit: SubscriberKit) -> None:
    kit.begin()
    ran = kit.run()
    _asked(kit, ran)
    demand(ran.exit == 0, f"exit {ran.exit} for a whole sequence")
    _once_in_order(ran.effects, range(1, 6))


@_case("M-SEQ-02", "What was withdrawn has no effect, and stops nothing", _MINIMUM)
def _withdrawn(kit: SubscriberKit) -> None:
    kit.begin("changed", "withdrawn", "died")
    ran = kit.run()
    _asked(kit, ran)
    _once_in_order(ran.effects, (1, 3))
    demand(kit.bureau.cursor.acknowledged == 3, f"acknowledged until {kit.bureau.cursor.acknowledged} of 3")


@_case("M-SEQ-03", "A second start goes on where the first one was", _DESIGN)
def _again(kit: SubscriberKit) -> None:
    kit.begin()
    first, second = kit.run(), kit.run()
    _asked(kit, second)
    _once_in_order([*first.effects, *second.effects], range(1, 6))


@_case(
    "M-SEQ-04", "That two numbers are two persons after all takes effect; a file in doubt has none", _DESIGN
)
def _separated(kit: SubscriberKit) -> None:
    kit.begin("replaced", "separated", "doubted", "changed")
    ran = kit.run()
    _asked(kit, ran)
    _once_in_order(ran.effects, (1, 2, 4))
    demand(kit.bureau.cursor.acknowledged == 4, f"acknowledged until {kit.bureau.cursor.acknowledged} of 4")


@_case("M-ACK-01", "All that took effect is acknowledged, and nothing ahead of what was delivered", _DESIGN)
def _acknowledged(kit: SubscriberKit) -> None:
    kit.begin()
    ran = kit.run()
    _asked(kit, ran)
    bureau = kit.bureau
    ahead = [each for each in bureau.acknowledged if each > len(bureau.items)]
    demand(not ahead, f"acknowledged {ahead} where {len(bureau.items)} is the last")
    demand(bureau.cursor.acknowledged == 5, f"acknowledged until {bureau.cursor.acknowledged} of 5")


@_case("M-ACK-02", "Nothing is acknowledged that did not take effect", _DESIGN)
def _not_ahead(kit: SubscriberKit) -> None:
    kit.begin()
    ran = kit.run("stranger")
    _asked(kit, ran)
    demand(not kit.bureau.acknowledged, f"acknowledged {kit.bureau.acknowledged} and took nothing")
    kit.begin()
    if kit.fetches:
        kit.bureau.silent.add(person(2))
        ran = kit.run()
        _asked(kit, ran)
        demand(
            max(kit.bureau.acknowledged, default=0) < 2 and 2 not in ran.effects,
            f"acknowledged {kit.bureau.acknowledged} though number 2 could not be fetched",
        )
        demand(ran.exit != 0, "exit 0 though a person could not be fetched")


@_case("M-ACK-03", "An acknowledgement that got lost is no reason for a second effect", _DESIGN)
def _deaf(kit: SubscriberKit) -> None:
    kit.begin()
    first = kit.run("deaf")
    demand(kit.bureau.acknowledged, "it acknowledged nothing")
    second = kit.run()
    _asked(kit, second)
    _once_in_order([*first.effects, *second.effects], range(1, 6))
    last = kit.bureau.cursor.acknowledged
    demand(last == 5, f"the second time it acknowledged until {last} of 5")


@_case("M-REP-01", "Numbers that come again take effect once", _DESIGN)
def _repeated(kit: SubscriberKit) -> None:
    kit.begin()
    first = kit.run("again")
    _asked(kit, first)
    second = kit.run()
    _once_in_order([*first.effects, *second.effects], range(1, 6))


def _not_believed(id_: str, trick: str, purpose: str, basis: str) -> None:
    @_case(id_, purpose, basis)
    def check(kit: SubscriberKit) -> None:
        kit.begin()
        ran = kit.run(trick)
        _asked(kit, ran)
        demand(not ran.effects, f"{ran.effects} took effect")
        demand(not kit.bureau.acknowledged, f"acknowledged {kit.bureau.acknowledged}")
        demand(ran.exit != 0, "exit 0: nobody hears of it")


_not_believed("M-SIG-01", "unsigned", "A delivery without signature is refused", "RFC 9421 section 3.2")
_not_believed("M-SIG-02", "stranger", "A delivery signed by a strange key is refused", "RFC 9421 section 3.2")
_not_believed(
    "M-SIG-03", "altered", "A delivery that was changed on the way is refused", "RFC 9530 section 2"
)
_not_believed(
    "M-SIG-04", "other_request", "A delivery signed for another request is refused", "RFC 9421 section 2.4"
)
_not_believed("M-SIG-05", "other_subscription", "A delivery of another subscription is refused", _DESIGN)


def _broken(id_: str, trick: str, purpose: str) -> None:
    @_case(id_, purpose, _DESIGN)
    def check(kit: SubscriberKit) -> None:
        kit.begin()
        ran = kit.run(trick)
        _asked(kit, ran)
        # What came before the break may take effect; what lies behind it may not, nor be acknowledged.
        demand(set(ran.effects) <= {1}, f"{ran.effects} took effect")
        ahead = [each for each in kit.bureau.acknowledged if each > 1]
        demand(not ahead, f"acknowledged {ahead}")
        demand(ran.exit != 0, "exit 0: nobody hears of it")
        second = kit.run()
        _asked(kit, second)
        _once_in_order([*ran.effects, *second.effects], range(1, 6))


_broken("M-GAP-01", "hole", "A number that is missing is found, and nothing behind it takes effect")
_broken("M-ORD-01", "swapped", "Numbers in a wrong order are found")


@_case("M-GAP-02", "Numbers that are kept no more: it begins anew, or says so by the code", _DESIGN)
def _lost(kit: SubscriberKit) -> None:
    kit.begin()
    kit.bureau.lose(3)
    ran = kit.run()
    _asked(kit, ran)
    if kit.bureau.resynchronised:
        demand(kit.bureau.cursor.acknowledged >= 3, "it went on before what was lost")
        _once_in_order(ran.effects, [n for n in range(1, 6) if n > kit.bureau.resynchronised[-1]])
        return
    demand(not ran.effects, f"{ran.effects} took effect as if nothing was lost")
    demand(ran.exit != 0, "exit 0 though numbers were lost")
    demand("resynchronise" in ran.output, "its output does not say resynchronise")


@_case("M-FET-01", "Who is told of is asked about anew, once, and nobody else", _MINIMUM)
def _fetched(kit: SubscriberKit) -> None:
    _fetching(kit)
    kit.begin("changed", "withdrawn", "changed")
    ran = kit.run()
    _asked(kit, ran)
    fetched = kit.bureau.fetched
    demand(sorted(set(fetched)) == sorted((person(1), person(3))), f"it asked about {len(set(fetched))} of 2")
    demand(len(fetched) == 2, f"it asked {len(fetched)} times about 2 persons")


@_case(
    "M-FET-02", "What the rules of today do not give is not had from elsewhere, and stops nobody", _MINIMUM
)
def _denied(kit: SubscriberKit) -> None:
    _fetching(kit)
    kit.begin("changed", "changed", "changed")
    kit.bureau.denied.add(person(2))
    ran = kit.run()
    _asked(kit, ran)
    demand(kit.bureau.fetched.count(person(2)) == 1, "it did not ask once about who is denied")
    demand("subject_not_registered" in ran.output, "its output does not say subject_not_registered")
    demand({1, 3} <= set(ran.effects), f"only {ran.effects} took effect")
    demand(kit.bureau.cursor.acknowledged == 3, f"acknowledged until {kit.bureau.cursor.acknowledged} of 3")


def _fetching(kit: SubscriberKit) -> None:
    if not kit.fetches:
        raise NotApplicable("the command does not fetch anew (--fetches)")


@_case("M-PSH-01", "A push takes effect, and is answered for this very push", "RFC 9421 section 2.4")
def _pushed(kit: SubscriberKit) -> None:
    with kit.listening() as subscriber:
        for after in (0, 2, 4):
            said = subscriber.push(after)
            demand(said.until is not None, f"the numbers after {after}: {said.fault}")
            demand(said.until == min(after + 2, 5), f"answered until {said.until} after {after}")
        _once_in_order(subscriber.effects, range(1, 6))


@_case("M-PSH-02", "A push that comes again takes effect once, and is acknowledged again", _DESIGN)
def _pushed_again(kit: SubscriberKit) -> None:
    with kit.listening() as subscriber:
        first, again = subscriber.push(0), subscriber.push(0)
        # And with one number more than before, as when only part was acknowledged.
        longer = subscriber.push(0, count=3)
        demand(first.until == 2 and again.until == 2, f"answered {first}, then {again}")
        demand(longer.until == 3, f"answered {longer} to three numbers of which two were known")
        _once_in_order(subscriber.effects, (1, 2, 3))


@_case("M-PSH-03", "Numbers behind a gap are not acknowledged", _DESIGN)
def _pushed_ahead(kit: SubscriberKit) -> None:
    with kit.listening() as subscriber:
        demand(subscriber.push(0).until == 2, "the first numbers were not taken")
        said = subscriber.push(3)
        demand(said.until is None, f"acknowledged until {said.until} and never had number 3")
        _once_in_order(subscriber.effects, (1, 2))


def _push_refused(id_: str, trick: str, purpose: str, basis: str, most: int = 0) -> None:
    @_case(id_, purpose, basis)
    def check(kit: SubscriberKit) -> None:
        with kit.listening() as subscriber:
            said = subscriber.push(0, trick)
            demand((said.until or 0) <= most, f"acknowledged until {said.until}")
            demand(set(subscriber.effects) <= set(range(1, most + 1)), f"{subscriber.effects} took effect")
            demand(subscriber.push(0).until == 2, "afterwards it does not take a true push")
            _once_in_order(subscriber.effects, (1, 2))


_push_refused("M-PSH-04", "unsigned", "A push without signature is refused", "RFC 9421 section 3.2")
_push_refused("M-PSH-05", "stranger", "A push signed by a strange key is refused", "RFC 9421 section 3.2")
_push_refused("M-PSH-06", "altered", "A push that was changed on the way is refused", "RFC 9530 section 2")
_push_refused(
    "M-PSH-07", "other_path", "A push signed for another address is refused", "RFC 9421 section 2.2.6"
)
_push_refused("M-PSH-08", "hole", "A push with a hole is found out", _DESIGN, most=1)
_push_refused("M-PSH-09", "swapped", "A push in a wrong order is found out", _DESIGN, most=1)

__all__: list[str] = ["SUBSCRIBER", "Listener", "SubscriberKit"]
