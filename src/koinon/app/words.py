"""The slices with pages, and what is said of an error: on pages, on the command line, in the reference of errors."""

from collections.abc import Mapping
from typing import Any

from koinon.app import web as start
from koinon.base.errors import KoinonError
from koinon.base.text import Language
from koinon.integrator import web as integrator
from koinon.integrator.catalogue import web as catalogue
from koinon.integrator.deferred import web as batches
from koinon.integrator.mutations import web as mutations
from koinon.integrator.operations import web as operations
from koinon.integrator.procedures import web as procedures
from koinon.integrator.processing import web as statistics
from koinon.portal import N_, Message
from koinon.portal.languages import Catalogues, as_language
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

# What is met on the command line, where no page of a slice says it.
_COMMANDS: dict[str, Message] = {
    # Where the platform is.
    "platform_missing": N_(
        "There is no platform in this folder. Start one with koinon demo or koinon run, or set KOINON_HOME."
    ),
    "platform_unavailable": N_("The platform does not answer. Is this its address, and does it run?"),
    "database_unavailable": N_("The database does not answer. Try again in a while."),
    "standing_unconfirmed": N_(
        "Which rights hold now could not be confirmed, so nothing is let through. Try again in a while."
    ),
    "invalid_address": N_(
        "Write an address as https://host or https://host:port; http only on this machine."
    ),
    "invalid_setting": N_(
        "A setting is not as it should be. The reference of settings says what each can be."
    ),
    "demo_already_runs": N_("A demo runs in this folder already."),
    "demo_not_ready": N_("The demo did not start in time. The log in its folder says why."),
    "port_in_use": N_("Another program listens on this port. Choose another."),
    "bucket_keeps_versions": N_(
        "This bucket keeps versions of what is deleted, so that recordings would outlive their term. Name a bucket "
        "that never had versioning or object lock."
    ),
    # Keys.
    "wrong_authority": N_(
        "The signature holds, but for another address. Call the platform by the address that it calls its own."
    ),
    "bad_signature": N_("The signature does not hold."),
    "key_file_unreadable": N_("The file of the key cannot be read."),
    "bad_key": N_("This is not a key of the kind that is expected here."),
    "bad_passphrase": N_("The passphrase does not open this key."),
    "pins_exist": N_("There is a file of the platform's keys already. It is never replaced by a program."),
    "pins_malformed": N_("The file does not hold the keys of a platform, as /api/keys gives them."),
    "keys_malformed": N_("The file does not hold the keys of a platform, as /api/keys gives them."),
    "platform_key_unknown": N_(
        "The answer is signed with a key that your file of the platform's keys does not hold. It is not believed."
    ),
    # What is typed.
    "invalid_id": N_("This is not an id. An id looks like 0198c0de-0000-7000-8000-000000000000."),
    "flow_unknown": N_("There is no such flow."),
    "purpose_unknown": N_("There is no such purpose."),
    "field_unknown": N_("There is no such field."),
    "question_malformed": N_("The question does not have the form that is expected here."),
    "subject_malformed": N_("Say whom it is about: national_number=… or enterprise_number=…"),
    "instant_malformed": N_("Write an instant as 2026-11-24T10:00:00Z."),
    "moment_malformed": N_("Write a moment as 2026-11-24T10:00."),
    "session_missing": N_("Say who asks: with --login, or by a session in KOINON_SESSION."),
    "file_exists": N_("There is a file of this name already."),
    "file_unreadable": N_("The file cannot be read."),
    "persons_malformed": N_(
        "Line %(line)s does not name a person: write national_number, family_name and birth_date as JSON."
    ),
    "package_unreadable": N_("This is not a package of recordings, or it is damaged."),
    "convention_unknown": N_("There is no such convention."),
    # Certificates.
    "certificate_name_malformed": N_(
        "A name begins with a small letter and has small letters, digits, - and _; at most 40 in all."
    ),
    "certificate_subject_malformed": N_("Write whom it is for as CN=...,O=...,C=BE."),
    "certificate_kind_unknown": N_("There are no keys of this kind."),
    "certificate_malformed": N_("This is not a certificate in PEM, or the file cannot be read."),
    "certificate_chain_broken": N_("One certificate in the file did not sign the one before it."),
    "certificate_of_other_key": N_(
        "This certificate is for none of the keys of this name. Make the key first, and send its request."
    ),
    "certificate_ended": N_("This certificate has ended."),
    "certificate_unknown": N_("There is no such key."),
    "certificate_in_use": N_("This key signs now, so it is not removed."),
    "certificate_serves_sources": N_(
        "Sources know us by the certificate of this name. Add --replace if they know the new one too."
    ),
    "certificate_being_made": N_("Somebody else is making a key of this name. Try again."),
    "certificate_key_unreadable": N_("The key of this certificate cannot be opened on this machine."),
}


def words() -> dict[str, Message]:
    """The English words by code; they may have places for facts."""
    told = {code: said for each in SLICES for code, said in getattr(each, "problems", {}).items()}
    return _COMMANDS | told


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
