"""What is said of an error of this slice, and of those below it that have no pages: standing, agreements."""

from koinon.portal import N_, Message

problems: dict[str, Message] = {
    "commission_only": N_("This page is for members and the secretariat of the Control Commission."),
    "members_only": N_("Only members of the Commission and of the Committee sign acts."),
    "act_out_of_date": N_("Another act was recorded in the meantime. Draft this one again and sign it."),
    "act_without_effect": N_("This act would change nothing: look at the present state first."),
    "act_not_of_this_body": N_("This member may not sign this act."),
    "act_proof_invalid": N_("The signature does not hold for this act."),
    "act_malformed": N_("This is no act that can be signed."),
    "act_too_old": N_("The act was signed more than a day ago. Draft it again and sign it."),
    "act_too_early": N_("The act is dated in the future: a clock is wrong."),
    "signer_unknown": N_("The one who signed is no member in office."),
    "signer_malformed": N_("This is no key that can be appointed."),
    "last_head": N_("The Commission would be left without chair and vice-chair."),
    "genesis_missing": N_("The root of trust has not been laid yet: nothing is in force."),
    "authorisation_unknown": N_("There is no authorisation with this number."),
    "authorisation_exists": N_("There is already an authorisation with this number."),
    "complaint_unknown": N_("There is no such complaint."),
    "complaint_cannot_move": N_("The complaint cannot be moved there from where it is now."),
    "complaint_not_admissible": N_(
        "The exchanges of a complaint are opened only once it was found admissible."
    ),
    "rule_authors_only": N_("Only authors of rules and jurists propose rules."),
    "rule_makers_only": N_(
        "This page is for authors of rules, jurists, and members of the Committee and the Commission."
    ),
    "rule_unknown": N_("There is no rule with this name."),
    "rule_exists": N_("Somebody else has proposed this version in the meantime."),
    "version_not_next": N_("The version must be the next one of this rule."),
    "author_differs": N_("The document names another author."),
    "author_may_not_approve": N_("Nobody approves a rule that they wrote themselves."),
    "already_approved": N_("You have approved this version already; a second person must."),
    "rule_not_analysed": N_("This version has not been analysed, or its analysis found errors."),
    "rule_not_replayed": N_("This version has not been replayed on past decisions."),
    "rule_analysis_failed": N_("The analysis finds errors in this version: it must be mended first."),
    "rule_withdrawn": N_("This rule is suspended."),
    "rule_not_approved": N_("Two members of the Committee must approve this version first."),
    "rule_without_deliberation": N_("This rule names no deliberation of the Commission."),
    "deliberation_unknown": N_("The deliberation that this rule names was not granted."),
    "document_unknown": N_("No public document has this digest."),
    # The root of trust, and the acts that rest on it.
    "genesis_malformed": N_(
        "The root of trust is not whole: it names a chair or vice-chair of the Commission, each key once, and an "
        "instant with its zone."
    ),
    "genesis_exists": N_("The root of trust was laid already. It is laid once."),
    "genesis_not_logged": N_(
        "The root of trust in the database is not the one in the public register log. Nothing is in force until "
        "the database is restored."
    ),
    "act_not_logged": N_(
        "Act %(at_sequence)s in the database is not the one in the public register log. Nothing is in force "
        "until the database is restored."
    ),
    "act_missing": N_(
        "Act %(at_sequence)s is in the public register log and not in the database. Nothing is in force until "
        "the database is restored."
    ),
    "act_logged_twice": N_(
        "The public register log has two different acts of the number %(at_sequence)s. Nothing is in force until "
        "the Commission has cleared this up."
    ),
    "not_this_signer": N_("The act names another signer than this key."),
    "epoch_not_raised": N_(
        "The act would not have taken effect at once, so it was not recorded. The operator must restore the "
        "triggers of the database."
    ),
    "demo_keys_in_production": N_(
        "A key of the demo stands among the signers, and production believes none. Lay a root of trust with keys "
        "of your own."
    ),
    "demo_signer": N_("A key of the demo is refused in production. Name signers with keys of their own."),
    "target_unknown": N_("What the act is about is not in the register: %(id)s."),
    "document_differs": N_(
        "The document that came is not the one with this digest. Nothing was signed; ask the platform's operator."
    ),
    # Conventions and authorisations.
    "convention_malformed": N_(
        "The convention is not complete, or contradicts itself. "
        "Look at its number and version, its parties, matrix, term and accession, and its title in three languages."
    ),
    "convention_exists": N_(
        "There is already a convention %(id)s of version %(version)s. Give this one the next version."
    ),
    "rules_differ": N_("The rules that came along are not those that the convention names."),
    "advice_asked": N_("The Commission's advice on this version was asked already."),
    "convention_not_advised": N_(
        "The Commission has not advised on this version yet, so it cannot be signed."
    ),
    "convention_digest_differs": N_(
        "The statement is about another text than this convention has. Read the convention anew, and sign again."
    ),
    "statement_too_old": N_("The statement was signed too long ago. Sign it again."),
    "statement_too_early": N_("The statement is dated in the future: a clock is wrong."),
    "statement_exists": N_("This statement was recorded already."),
    "statement_signature_wrong": N_("The signature of the statement does not hold."),
    "accession_closed": N_("No other party can accede to this convention."),
    "already_a_party": N_("The convention itself names this party: it signs, and does not accede."),
    "not_a_party": N_("This party is not bound by the convention."),
    "key_not_of_convention": N_("The convention names another key of this party. Sign with that one."),
    "key_not_of_party": N_("This key is another party's."),
    "key_not_in_force": N_("This key was not in force when it signed."),
    "authorisation_malformed": N_(
        "The authorisation is not complete, or contradicts itself. "
        "Look at its number, purposes, fields, articles, term and beneficiaries, and its texts in three languages."
    ),
    "agreement_broken": N_(
        "A convention or authorisation in the database is not what was recorded. Nothing is in force until the "
        "database is restored."
    ),
    # Complaints, rules by command line.
    "identity_missing": N_("Identity must be shown: give the name and how it was established."),
    "interest_missing": N_("Say why this concerns the person who complains."),
    "story_missing": N_("Say what happened."),
    "exchange_not_of_party": N_("One of the exchanges is not one of this service."),
    "complaint_too_long": N_("The complaint is too long: at most %(limit)s characters, or exchanges."),
    "state_unknown": N_("A rule has no such state. Which there are stands behind this."),
}
