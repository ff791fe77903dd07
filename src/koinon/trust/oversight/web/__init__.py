"""Pages of oversight: the Commission's console, the signing of acts, the public register."""

from koinon.portal import N_
from koinon.trust.oversight.web import acts, complaints, console, members, register, rules

handlers = [
    *register.handlers,
    *console.handlers,
    *acts.handlers,
    *complaints.handlers,
    *members.handlers,
    *rules.handlers,
]
navigation = [
    *register.navigation,
    *console.navigation,
    *complaints.navigation,
    *members.navigation,
    *rules.navigation,
]
problems = {
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
}
