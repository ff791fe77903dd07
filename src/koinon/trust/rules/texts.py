"""The words of explanations, in Dutch, French and English."""

from koinon.base.text import Language, Text


def say(language: Language, key: str, **values: object) -> str:
    """The sentence `key` in `language` with `values` filled in."""
    return WORDS[key].in_(language).format(**values)


WORDS: dict[str, Text] = {
    "asked": Text(
        "Gevraagd: {action}, {resource}; doel: {purpose}; door {who}, profiel {profile}; op {at}.",
        "Demandé : {action}, {resource} ; finalité : {purpose} ; par {who}, profil {profile} ; le {at}.",
        "Asked: {action}, {resource}; purpose: {purpose}; by {who}, profile {profile}; on {at}.",
    ),
    "decision_allowed": Text("Toegelaten.", "Autorisé.", "Allowed."),
    "decision_no_rule": Text(
        "Geweigerd: geen enkele regel laat dit gebruik toe.",
        "Refusé : aucune règle ne permet cet usage.",
        "Refused: no rule permits this use.",
    ),
    "decision_not_in_force": Text(
        "Geweigerd: de regel die dit toelaat, is op die dag niet van kracht.",
        "Refusé : la règle qui le permet n'est pas en vigueur ce jour-là.",
        "Refused: the rule that permits this is not in force on that day.",
    ),
    "decision_conditions_not_met": Text(
        "Geweigerd: een voorwaarde is niet vervuld.",
        "Refusé : une condition n'est pas remplie.",
        "Refused: a condition is not met.",
    ),
    "decision_fact_unknown": Text(
        "Geweigerd: een feit is niet bekend, en wat niet bekend is, telt als neen.",
        "Refusé : un fait n'est pas connu, et l'inconnu vaut refus.",
        "Refused: a fact is not known, and unknown is no.",
    ),
    "decision_forbidden": Text(
        "Geweigerd: een regel verbiedt het, en een verbod gaat voor.",
        "Refusé : une règle l'interdit, et l'interdiction prévaut.",
        "Refused: a rule forbids it, and a prohibition prevails.",
    ),
    "decision_no_field_asked": Text(
        "Geweigerd: er is geen gegeven gevraagd.",
        "Refusé : aucune donnée n'est demandée.",
        "Refused: no field is asked.",
    ),
    "decision_no_field_allowed": Text(
        "Geweigerd: geen van de gevraagde gegevens mag worden gegeven.",
        "Refusé : aucune des données demandées ne peut être donnée.",
        "Refused: none of the fields asked may be given.",
    ),
    "ground": Text(
        "Grond: {rule}, {title}; {article}; beraadslaging {deliberation}.",
        "Fondement : {rule}, {title} ; {article} ; délibération {deliberation}.",
        "Ground: {rule}, {title}; {article}; deliberation {deliberation}.",
    ),
    "none": Text("geen", "aucun", "none"),
    "unknown_facts": Text("Niet bekend: {names}.", "Non connu : {names}.", "Not known: {names}."),
    "field_given": Text(
        "{field}: mag worden gegeven, op grond van {rules}",
        "{field} : peut être donné, en vertu de {rules}",
        "{field}: may be given, by {rules}",
    ),
    "field_not_granted": Text(
        "{field}: wordt weggelaten, geen geldende regel geeft het",
        "{field} : est omis, aucune règle applicable ne le donne",
        "{field}: is left out, no applicable rule gives it",
    ),
    "field_forbidden": Text(
        "{field}: wordt weggelaten, verboden door {rules}",
        "{field} : est omis, interdit par {rules}",
        "{field}: is left out, forbidden by {rules}",
    ),
    "good_until": Text(
        "Geldt zo tot {at}; dan kan een datum er iets aan veranderen.",
        "Valable ainsi jusqu'au {at} ; une date peut alors y changer quelque chose.",
        "Good until {at}; then a date may change it.",
    ),
    "candidate_permit": Text(
        "Toelating {rule}: {title}", "Permission {rule} : {title}", "Permit {rule}: {title}"
    ),
    "candidate_forbid": Text(
        "Verbod {rule}: {title}", "Interdiction {rule} : {title}", "Forbid {rule}: {title}"
    ),
    "not_for_this": Text("niet voor: {why}", "pas pour : {why}", "not for: {why}"),
    "mismatch_action": Text("deze handeling", "cette action", "this action"),
    "mismatch_purpose": Text("dit doel", "cette finalité", "this purpose"),
    "mismatch_profile": Text("dit profiel", "ce profil", "this profile"),
    "mismatch_party": Text("deze partij", "ce participant", "this party"),
    "mismatch_before": Text(
        "deze dag (nog niet van kracht)", "ce jour (pas encore en vigueur)", "this day (not yet in force)"
    ),
    "mismatch_after": Text(
        "deze dag (niet meer van kracht)", "ce jour (plus en vigueur)", "this day (no longer in force)"
    ),
    "tested": Text(
        "voorwaarde: {condition}; bekend: {value} → {outcome}",
        "condition : {condition} ; connu : {value} → {outcome}",
        "condition: {condition}; known: {value} → {outcome}",
    ),
    "known": Text("bekend: {value}", "connu : {value}", "known: {value}"),
    "value_unknown": Text("niets", "rien", "nothing"),
    "outcome_is_true": Text("vervuld", "remplie", "met"),
    "outcome_is_false": Text("niet vervuld", "non remplie", "not met"),
    "outcome_is_unknown": Text("onbekend", "inconnue", "unknown"),
    "outcome_gives": Text(
        "geeft gevraagde gegevens", "donne des données demandées", "gives fields that were asked"
    ),
    "outcome_forbids": Text("verbiedt", "interdit", "forbids"),
    "outcome_gives_nothing_asked": Text(
        "raakt niets wat gevraagd is", "ne concerne rien de demandé", "concerns nothing that was asked"
    ),
    "outcome_conditions_not_met": Text(
        "geldt niet: een voorwaarde is niet vervuld",
        "ne s'applique pas : une condition n'est pas remplie",
        "does not apply: a condition is not met",
    ),
    "outcome_fact_unknown": Text(
        "geldt niet: een feit is niet bekend",
        "ne s'applique pas : un fait n'est pas connu",
        "does not apply: a fact is not known",
    ),
    "outcome_elsewhere": Text(
        "geldt niet voor deze vraag", "ne s'applique pas à cette demande", "does not apply to this request"
    ),
    "yes": Text("ja", "oui", "yes"),
    "no": Text("neen", "non", "no"),
    "operator_is": Text("is", "est", "is"),
    "operator_is_not": Text("is niet", "n'est pas", "is not"),
    "operator_in": Text("is een van", "est l'un de", "is one of"),
    "operator_at_least": Text("is minstens", "est au moins", "is at least"),
    "operator_at_most": Text("is hoogstens", "est au plus", "is at most"),
    "operator_before": Text("is vóór", "est avant le", "is before"),
    "operator_after": Text("is na", "est après le", "is after"),
    "operator_present": Text("is bekend", "est connu", "is known"),
    "keep": Text(
        "alleen te bewaren: {fields}", "à conserver uniquement : {fields}", "only to be kept: {fields}"
    ),
    "yes_no": Text(
        "alleen als ja of neen: {fields}",
        "uniquement par oui ou non : {fields}",
        "as yes or no only: {fields}",
    ),
    "masks": Text(
        "onherkenbaar te maken: {masks}", "à rendre méconnaissable : {masks}", "to be masked: {masks}"
    ),
    "watermark": Text(
        "beelden dragen een watermerk", "les images portent un filigrane", "images carry a watermark"
    ),
    "depth_days": Text(
        "hoogstens {days} dagen terug", "au plus {days} jours en arrière", "at most {days} days back"
    ),
    "second_person": Text(
        "een tweede persoon moet meedoen", "une seconde personne doit participer", "a second person must join"
    ),
    "log_full": Text("volledig spoor", "trace complète", "full trace"),
    "reason": Text("een reden moet worden opgegeven", "un motif doit être indiqué", "a reason must be given"),
    "cache_seconds": Text(
        "een antwoord van de bron mag {seconds} seconden voor dezelfde vraag dienen",
        "une réponse de la source peut servir {seconds} secondes pour la même question",
        "an answer of the source may serve the same question for {seconds} seconds",
    ),
}
