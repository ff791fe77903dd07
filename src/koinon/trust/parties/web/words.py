"""Words for the codes of this slice, and its places in the menus."""

from typing import Any

from litestar import Request

from koinon.base.errors import KoinonError
from koinon.portal import N_, Message, NavigationItem, Viewer, portal_of, signed_in
from koinon.trust.parties.sign_in import Session


def _looks_after_parties(viewer: Viewer | None) -> bool:
    return isinstance(viewer, Session) and viewer.profile in (
        "operator",
        "party_manager",
        "security_adviser",
        "auditor",
        "commission_member",
        "commission_secretary",
    )


navigation = [
    NavigationItem(label=N_("Parties"), path="/parties", shown_to=_looks_after_parties, order=60),
    NavigationItem(label=N_("Who I am here"), path="/me", shown_to=signed_in, order=10, section="account"),
    NavigationItem(
        label=N_("Act as somebody else of mine"),
        path="/sign-in/choose?again=true",
        shown_to=signed_in,
        order=20,
        section="account",
    ),
]

problems: dict[str, Message] = {
    # Signing in.
    "sign_in_failed": N_("The login or the password is not right."),
    "sign_in_delayed": N_("Too many attempts. Wait %(retry_after_seconds)s seconds and try again."),
    "sign_in_incomplete": N_("Enter your login and your password."),
    "person_unknown": N_(
        "You proved who you are, but you are not registered here. Ask your party's manager."
    ),
    "person_inactive": N_("You are registered here, but no longer active. Ask your party's manager."),
    "sign_in_state_wrong": N_("This sign-in was not begun in this browser, or took too long. Begin again."),
    "sign_in_issuer_wrong": N_("The answer came from another identity provider. You were not signed in."),
    "sign_in_refused": N_("The identity provider did not sign you in."),
    "sign_in_code_refused": N_("The identity provider did not confirm this sign-in. Begin again."),
    "id_token_invalid": N_("The identity provider's answer cannot be trusted. You were not signed in."),
    "identity_provider_unavailable": N_("The identity provider does not answer. Try again in a while."),
    "no_local_accounts": N_("There are no local accounts on this platform."),
    "no_identity_provider": N_("No identity provider is set on this platform."),
    "not_signed_in": N_("Sign in to see this page."),
    "session_ended": N_("Your session has ended. Sign in again."),
    "profile_not_chosen": N_("Choose first in which capacity you act."),
    "profile_not_held": N_("You do not hold this profile, or not any more."),
    # Charter and training.
    "charter_missing": N_("No confidentiality charter has been published."),
    "charter_not_signed": N_("You have not signed the confidentiality charter."),
    "charter_outdated": N_("There is a new version of the confidentiality charter to sign."),
    "charter_not_read": N_("Confirm that you have read the charter before you sign it."),
    "charter_signature_exists": N_("You have signed this version already."),
    "charter_signature_reference": N_("There is no such version of the charter."),
    "training_missing": N_("No training is recorded for you."),
    "training_expired": N_("Your training no longer counts. Follow it again."),
    "training_exists": N_("A training on that day is recorded already."),
    "training_in_future": N_("A training is recorded after it was followed."),
    # The register.
    "change_not_allowed": N_("Your profile may not make this change."),
    "reading_not_allowed": N_("Your profile does not look after this party."),
    "own_rights": N_("Nobody changes their own rights. Ask a colleague."),
    "not_own_signature": N_("Nobody signs for somebody else."),
    "profile_not_for_party": N_("Persons of this kind of party do not hold that profile."),
    "party_exists": N_("There is a party with this enterprise number already."),
    "party_unknown": N_("There is no such party."),
    "invalid_enterprise_number": N_("This is not an enterprise number: ten digits, with check digits."),
    "invalid_name": N_("A name is empty, too long, or cannot be shown."),
    "invalid_identity": N_("The issuer or the subject of the identity is empty or too long."),
    "identity_exists": N_("That identity is linked to this person already."),
    "period_reversed": N_("The end lies before the beginning."),
    "person_reference": N_("The unit belongs to another party."),
    "system_exists": N_("The party has a system of this name already."),
    "system_unknown": N_("There is no such system in this party."),
    "system_inactive": N_("The system is no longer active."),
    "adviser_in_office": N_("The party has an adviser in office already. End that one first."),
    "adviser_appointed": N_("This adviser was appointed already, or the proposal has ended."),
    "adviser_ended": N_("This adviser is no longer in office."),
    "adviser_unknown": N_("There is no such proposal."),
    "invalid_advice": N_("Give the digest of the Commission's act: 64 hexadecimal digits."),
    "key_exists": N_("This key was registered before; a key is never registered twice."),
    "key_unknown": N_("There is no such key."),
    "key_revoked": N_("The key has been revoked."),
    "key_reference": N_("The system or person of this key belongs to another party."),
    "key_owner_wrong": N_("A key for this use needs another owner."),
    "key_proof_wrong": N_("The request is not signed by the key that it names."),
    "key_request_stale": N_("The request is too old. Make a new one."),
    "key_request_elsewhere": N_("The request was made for another platform."),
    "key_request_other_party": N_("The request was made for another party."),
    "reason_missing": N_("Give a reason, in at most 500 characters."),
    "document_malformed": N_("This is not the document that is expected here."),
    "form_incomplete": N_("Something in the form is missing or not as it should be."),
    # What is given in a wrong form, or too early or late.
    "language_unknown": N_("Write the language as nl, fr or en."),
    "profile_unknown": N_("There is no profile %(profile)s."),
    "party_kind_unknown": N_("There is no kind of party %(kind)s."),
    "party_not_joined": N_("The party takes part from %(joined_on)s on."),
    "adviser_backdated": N_("An adviser is appointed from today on, or from a later day."),
    "adviser_reference": N_("The person of this proposal belongs to another party."),
    "charter_empty": N_("A charter has a version, and its text in Dutch, French and English."),
    "charter_backdated": N_("A charter holds from today on, or from a later day."),
    "charter_exists": N_("There is a charter of this version, or of this day, already."),
    "identity_unknown": N_("This identity is not linked to the person, or not any more."),
    "key_use_wrong": N_("This key was registered for another use."),
    "key_not_yet_valid": N_("The key is valid from %(valid_from)s on."),
    "key_expired": N_("The key was valid until %(valid_until)s. Register a new one."),
    "key_or_request": N_("Give one of --key and --request."),
    "user_malformed": N_("The user is named in 1 to 255 characters that can be shown."),
    "user_assertion_malformed": N_(
        "What vouches for the user is no signed document of the form that is expected."
    ),
    "user_assertion_invalid": N_(
        "What vouches for the user does not hold: its signature, its time, or for whom it was made. Make a new "
        "one."
    ),
    # Accounts, files of parties and persons.
    "invalid_login": N_("A login has 1 to 100 characters and no spaces."),
    "password_too_short": N_("A password has at least %(least_characters)s characters."),
    "password_too_long": N_("A password has at most %(most_characters)s characters."),
    "local_accounts_refused": N_("Accounts of its own has only a demo. Set an identity provider."),
    "document_kind_unknown": N_("Give a file whose name ends in .toml or .json."),
    "document_too_large": N_("A file has at most %(limit_bytes)s bytes. Give more than one."),
    "person_without_identity": N_(
        "A person in the file has no identity. Without one nobody can sign in: give one."
    ),
    "person_exists": N_("A person with this identity is registered in the party already."),
}


def words_for(request: Request[Any, Any, Any], error: KoinonError | None) -> Message | None:
    """What a page says of a refusal, with its facts filled in."""
    if error is None:
        return None
    known = portal_of(request).problems
    return Message(str(known.get(error.code, known["form_incomplete"])), **error.facts)
