"""Pages of oversight: the Commission's console, the signing of acts, the public register."""

from koinon.portal import N_
from koinon.trust.oversight.web import acts, complaints, console, members, register

handlers = [
    *register.handlers,
    *console.handlers,
    *acts.handlers,
    *complaints.handlers,
    *members.handlers,
]
navigation = [
    *register.navigation,
    *console.navigation,
    *complaints.navigation,
    *members.navigation,
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
    "document_unknown": N_("No public document has this digest."),
}
