"""What is said of an error of this slice, its sources and their drivers."""

from koinon.portal import N_, Message

problems: dict[str, Message] = {
    # Files of a party.
    "birth_date_malformed": N_("Write the date of birth as yyyy-mm-dd."),
    "evidence_refused": N_(
        "The name or the date of birth is not that of this person in the register. Correct what is not right."
    ),
    "dossier_unknown": N_("Your party has no such file, or it has ended."),
    "dossier_period_empty": N_("The file ends before it begins."),
    "dossier_period_too_long": N_("A file is entered for at most %(limit_days)s days. Enter it anew then."),
    # Sources and their drivers.
    "source_silent": N_("The source %(source)s does not answer. Try again in a while."),
    "source_unavailable": N_("A source does not answer. Try again in a while."),
    "unknown_service": N_("The source %(source)s has no service %(service)s."),
    "invalid_subject": N_(
        "The service %(service)s of %(source)s is asked with a national or an enterprise number, and this is "
        "none of its kind."
    ),
    "invalid_context": N_(
        "The source %(source)s is asked with the code of a purpose and the number of a party; one of the two is "
        "not written so."
    ),
    "missing_parameter": N_("The service %(service)s of %(source)s needs %(parameter)s."),
    "source_not_deliverable": N_(
        "The source %(source)s cannot be delivered in files: its field %(field)s has no form there."
    ),
}
