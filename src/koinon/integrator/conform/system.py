"""Cases of a participant's own system: it is started against a platform that plays tricks, and must see through them.

The command may name `{url}`, `{key}` (a key file, PKCS #8, without a passphrase) and `{pins}` (a file of the platform's
keys that is not there yet). It must ask one question, print the field `conform_field`, and exit 0 only when it believes
the answer. `{subject}` is a synthetic national number.
"""

from collections.abc import Sequence
from typing import Self

from koinon.base.errors import (
    Conflict,
    Invalid,
    KoinonError,
    NotAllowed,
    NotFound,
    NotIdentified,
    Unavailable,
)
from koinon.integrator.conform.command import TIMED_OUT, TIMEOUT_SECONDS, Command, Ran
from koinon.integrator.conform.model import Case, Cases, NotApplicable, demand
from koinon.integrator.conform.simulated import MARK, SimulatedPlatform

SUBJECT = "80690112370"
_case = Cases("system")
SYSTEM: Sequence[Case] = _case.all


class SystemKit:
    """The simulated platform, and how the system under test is started.

    `verifies_receipts`: the command waits for the receipt and checks it.
    """

    def __init__(
        self, command: str, *, verifies_receipts: bool = False, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        self._command = Command(command, timeout_seconds=timeout_seconds)
        self.verifies_receipts = verifies_receipts
        self.platform = SimulatedPlatform(self._command.key.verify_key)

    def __enter__(self) -> Self:
        self.platform.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.platform.stop()
        self._command.close()

    def run(self, trick: str = "honest", refusal: KoinonError | None = None) -> Ran:
        """How the system ends against this trick; each run starts without pins."""
        self.platform.begin(trick, refusal)
        return self._command.run(
            {
                "url": self.platform.url,
                "key": str(self._command.key_file),
                "pins": str(self._command.new_path("pins")),
                "subject": SUBJECT,
            }
        )


def _believed(ran: Ran) -> bool:
    """Whether it took the answer for true, or let somebody think so."""
    return ran.exit == 0 or MARK in ran.output


@_case("C-ANS-01", "A true answer is shown", "design/signatures.md")
def _honest(kit: SystemKit) -> None:
    ran = kit.run()
    demand(kit.platform.asked, f"it asked nothing (exit {ran.exit})")
    demand(not kit.platform.asked[0].fault, f"its request is refused: {kit.platform.asked[0].fault}")
    demand(ran.exit == 0, f"exit {ran.exit} for a true answer")
    demand(MARK in ran.output, "the value of the field conform_field is not in its output")


@_case("C-SIG-01", "Two questions never carry the same nonce", "RFC 9421 section 7.2.2")
def _fresh_nonces(kit: SystemKit) -> None:
    for _ in range(2):
        ran = kit.run()
        demand(kit.platform.asked, f"it asked nothing (exit {ran.exit})")
        fault = kit.platform.asked[0].fault
        demand(fault != "signature_replayed", "a nonce came twice")
        demand(not fault, f"its request is refused: {fault}")


def _disbelieved(id_: str, trick: str, purpose: str, basis: str) -> None:
    @_case(id_, purpose, basis)
    def check(kit: SystemKit) -> None:
        ran = kit.run(trick)
        demand(kit.platform.asked, f"it asked nothing (exit {ran.exit})")
        demand(not kit.platform.asked[0].fault, f"its request is refused: {kit.platform.asked[0].fault}")
        demand(
            not _believed(ran),
            f"exit {ran.exit}, and the value {'is' if MARK in ran.output else 'is not'} shown",
        )


_disbelieved("C-SIG-02", "unsigned", "An answer without signature is not believed", "RFC 9421 section 3.2")
_disbelieved(
    "C-SIG-03", "stranger", "An answer signed by a strange key is not believed", "RFC 9421 section 3.2"
)
_disbelieved(
    "C-SIG-04", "altered", "An answer that was changed on the way is not believed", "RFC 9530 section 2"
)
_disbelieved(
    "C-SIG-05", "other_request", "An answer to another request is not believed", "RFC 9421 section 2.4"
)
_disbelieved(
    "C-ANS-02", "other_question", "A signed answer about another case is not believed", "design/signatures.md"
)
_disbelieved("C-ANS-03", "garbage", "An answer that is no JSON is an error", "RFC 8259")
_disbelieved(
    "C-ANS-04", "redirect", "A redirect is not followed with a signed question", "RFC 9421 section 7.2.3"
)
_disbelieved(
    "C-REF-00", "forged_refusal", "A refusal that is wrongly signed is an error too", "RFC 9421 section 3.2"
)


def _tried_again(id_: str, trick: str, purpose: str, basis: str, wait: float = 0.0) -> None:
    @_case(id_, purpose, basis)
    def check(kit: SystemKit) -> None:
        ran = kit.run(trick)
        asked = kit.platform.asked
        demand(asked, f"it asked nothing (exit {ran.exit})")
        if len(asked) == 1:
            demand(not _believed(ran), f"exit {ran.exit} without an answer")
            raise NotApplicable("it does not try again, and says that it failed")
        keys = {each.idempotency_key for each in asked}
        demand(len(keys) == 1 and keys != {""}, "the retry has another idempotency key, or none")
        demand(len({each.nonce for each in asked}) == len(asked), "the retry has the same nonce")
        demand(asked[0].body == asked[1].body, "the retry has another body")
        demand(ran.exit == 0 and MARK in ran.output, f"exit {ran.exit} though the retry was answered")
        waited = asked[1].at - asked[0].at
        demand(waited >= wait, f"it came back after {waited:.2f} s")


_tried_again(
    "C-IDE-01",
    "busy_once",
    "After 503 it asks again under the same idempotency key",
    "RFC 9110 section 15.6.4",
)
_tried_again(
    "C-IDE-02",
    "cut_once",
    "After a cut it asks again under the same idempotency key",
    "RFC 9110 section 9.2.2",
)
_tried_again(
    "C-IDE-03", "retry_after", "It waits as long as it is asked to", "RFC 9110 section 10.2.3", wait=0.99
)


def _refused(id_: str, error: KoinonError, purpose: str) -> None:
    @_case(id_, purpose, "RFC 9457 section 3; reference/errors.md")
    def check(kit: SystemKit) -> None:
        ran = kit.run(refusal=error)
        demand(kit.platform.asked, f"it asked nothing (exit {ran.exit})")
        demand(ran.exit != 0, "exit 0 for a refusal")
        demand(ran.exit != TIMED_OUT, "it did not end")
        demand(error.code in ran.output, f"its output does not say {error.code}")
        if error.status < 500:
            demand(len(kit.platform.asked) == 1, f"it asked {len(kit.platform.asked)} times for one refusal")


for _n, (_error, _purpose) in enumerate(
    (
        (NotAllowed("subject_not_registered"), "No dossier: said by its code, and not asked again"),
        (
            NotAllowed("authorisation_suspended"),
            "A suspended authorisation: said by its code, and not asked again",
        ),
        (NotAllowed("field_not_authorised"), "A field that is not covered"),
        (NotIdentified("key_unknown"), "Its key was revoked"),
        (NotIdentified("signature_expired"), "Its clock is wrong"),
        (Invalid("subject_malformed"), "A number that is none"),
        (NotFound("flow_unknown"), "A flow that is not there"),
        (Conflict("idempotency_key_reused"), "An idempotency key that was used for something else"),
        (
            Unavailable("standing_unconfirmed"),
            "The platform cannot decide now: an error, never an empty answer",
        ),
    ),
    start=1,
):
    _refused(f"C-REF-{_n:02}", _error, _purpose)


def _receipt(id_: str, trick: str, purpose: str) -> None:
    @_case(id_, purpose, "RFC 9162 section 2.1.3; C2SP tlog-checkpoint")
    def check(kit: SystemKit) -> None:
        if not kit.verifies_receipts:
            raise NotApplicable("the command does not verify receipts (--receipts)")
        ran = kit.run(trick)
        demand(kit.platform.asked, f"it asked nothing (exit {ran.exit})")
        demand(ran.exit != 0, "exit 0 for a receipt that does not hold")
        demand(ran.exit != TIMED_OUT, "it did not end")


_receipt("C-RCP-01", "false_leaf", "A proof of another entry is found out")
_receipt("C-RCP-02", "false_root", "A checkpoint of another tree is found out")
