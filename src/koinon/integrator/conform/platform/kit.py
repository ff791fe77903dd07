"""What the cases of a platform have at hand. One question that is allowed is needed; see `Question`."""

from typing import Any

import msgspec

from koinon.base.crypto import SigningKey
from koinon.integrator.conform.model import Unknown, demand
from koinon.integrator.conform.speaking import Reply, Speaker

EXCHANGES, BATCHES, MUTATIONS = "/api/exchanges", "/api/batches", "/api/mutations"
OCTETS = "application/octet-stream"
RFC9421, RFC9530, RFC9457 = "RFC 9421", "RFC 9530 section 2", "RFC 9457 section 3"
FORM = "design/signatures.md"
GRACE_SECONDS = 5.0


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A question that the party may ask now, about somebody it has a dossier on: best in a sandbox."""

    flow: str
    purpose: str
    subject: dict[str, str]
    case: str = "CONFORM"
    authorisation: str | None = None

    def body(self, **changes: Any) -> bytes:
        """The body of `POST /api/exchanges`, with `changes`."""
        document = {**msgspec.to_builtins(self), **changes}
        return msgspec.json.encode({name: value for name, value in document.items() if value is not None})


class PlatformKit:
    """What the cases have at hand.

    `authority`: see `Speaker`; `witnesses`: how many must have cosigned the checkpoint of a receipt.
    """

    def __init__(
        self,
        url: str,
        key: SigningKey,
        question: Question | None,
        *,
        authority: str = "",
        witnesses: int = 0,
    ) -> None:
        self.speaker = Speaker(url, key, authority=authority)
        self.given = question
        self.witnesses = witnesses

    @property
    def question(self) -> Question:
        """The question that is allowed.

        Raises:
            Unknown: none was given.
        """
        if self.given is None:
            raise Unknown("give a question that is allowed (--question)")
        return self.given

    def ask(self, body: bytes | None = None, **how: Any) -> Reply:
        """What comes back for the question, or another body, said in this way."""
        return self.speaker.say(EXCHANGES, self.question.body() if body is None else body, **how)

    def allowed(self, **how: Any) -> Reply:
        """The answer to the question.

        Raises:
            Failed: it is refused, so that nothing more can be said.
        """
        reply = self.ask(**how)
        demand(reply.status == 200, f"the question that should be allowed was answered {reply.said}")
        return reply

    def some_body(self) -> bytes:
        """A question for cases that never come to be decided."""
        found = self.given or Question(
            flow="conform", purpose="conform", subject={"national_number": "00000000000"}
        )
        return found.body()
