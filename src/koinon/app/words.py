"""The slices with pages, and what is said of an error: on pages, on the command line, in the reference of errors."""

from collections.abc import Mapping
from typing import Any

from koinon.app import web as start
from koinon.app.problems import PROBLEMS
from koinon.base.errors import KoinonError
from koinon.base.text import Language
from koinon.integrator import web as integrator
from koinon.integrator.catalogue import web as catalogue
from koinon.integrator.deferred import web as batches
from koinon.integrator.mutations import web as mutations
from koinon.integrator.operations import web as operations
from koinon.integrator.procedures import web as procedures
from koinon.integrator.processing import web as statistics
from koinon.portal import Message
from koinon.portal.languages import Catalogues, as_language
from koinon.portal.problems import PROBLEMS as OF_THE_PORTAL
from koinon.portal.problems import sentence
from koinon.trust.gate import web as gate
from koinon.trust.ledger import web as ledger
from koinon.trust.oversight import web as oversight
from koinon.trust.parties import web as parties
from koinon.trust.rules import web as rules
from koinon.video.cameras import web as cameras
from koinon.video.exports import web as exports
from koinon.video.live import web as live
from koinon.video.masks import web as masks
from koinon.video.playback import web as playback
from koinon.video.remote import web as remote
from koinon.video.rights import web as rights
from koinon.video.steering import web as steering
from koinon.video.terms import web as terms

SLICES: tuple[Any, ...] = (
    start, parties, rules, oversight, gate, ledger, integrator, procedures, batches, mutations, statistics,
    catalogue, cameras, live, steering, rights, playback, remote, exports, terms, masks, operations,
)  # fmt: skip
PACKAGES = [each.__name__.removesuffix(".web") for each in SLICES]


def words() -> dict[str, Message]:
    """The English words by code; they may have places for facts."""
    told = {code: said for each in SLICES for code, said in getattr(each, "problems", {}).items()}
    return OF_THE_PORTAL | PROBLEMS | told


def tell(error: KoinonError, language: Language) -> str:
    """`error` for a person at a command: a sentence where there is one, then the code and its facts."""
    code = error.told(language)
    said = words().get(error.code)
    told = sentence(Catalogues(PACKAGES), language, said, error.facts) if said is not None else None
    return f"{told} [{code}]" if told else code


def language_of(environment: Mapping[str, str]) -> Language:
    """The language of a command.

    Source: POSIX.1-2017, Base Definitions, section 8.2: `LC_ALL` goes before `LC_MESSAGES`, and that before `LANG`.
    """
    wanted = next(
        (environment[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environment.get(name)), ""
    )
    return as_language(wanted[:2].lower()) or "en"
