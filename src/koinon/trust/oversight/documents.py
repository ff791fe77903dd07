"""What an act is about, in full: the documents that digests name, and what the act says in a reader's
language. Pure.
"""

from collections.abc import Iterable, Mapping

from koinon.base.canonical import canonical
from koinon.base.text import Text
from koinon.trust.agreements import Agreements
from koinon.trust.parties import Register
from koinon.trust.rules import StoredRule
from koinon.trust.rules.document import rule_document
from koinon.trust.standing.acts import Act, Body, Deed, Outcome, Rank, TargetKind


def find_document(
    digest: str, agreements: Agreements, register: Register | None, rules: Iterable[StoredRule]
) -> bytes | None:
    """The canonical bytes of what a digest names: a convention, authorisation, adviser's proposal or
    rule version.
    """
    for versions in agreements.conventions.values():
        for convention in versions:
            if convention.digest == digest:
                return convention.canonical
    for authorisation in agreements.authorisations.values():
        if authorisation.digest == digest:
            return authorisation.canonical
    for advisers in register.advisers.values() if register is not None else ():
        for adviser in advisers:
            if adviser.digest == digest:
                return adviser.document
    for stored in rules:
        if stored.digest == digest:
            return canonical(rule_document(stored.rule))
    return None


DEEDS: Mapping[Deed, Text] = {
    Deed.APPOINT_SIGNER: Text("Lid aanstellen", "Désigner un membre", "Appoint a member"),
    Deed.DISMISS_SIGNER: Text("Lid ontslaan", "Démettre un membre", "Dismiss a member"),
    Deed.ADVISE_CONVENTION: Text(
        "Advies over een overeenkomst", "Avis sur une convention", "Advice on a convention"
    ),
    Deed.ADVISE_ADVISER: Text(
        "Advies over een veiligheidsadviseur",
        "Avis sur un conseiller en sécurité",
        "Advice on a security adviser",
    ),
    Deed.GRANT: Text("Machtiging verlenen", "Accorder une autorisation", "Grant an authorisation"),
    Deed.SUSPEND: Text("Schorsen", "Suspendre", "Suspend"),
    Deed.RESUME: Text("Schorsing opheffen", "Lever la suspension", "End the suspension"),
    Deed.WITHDRAW: Text("Machtiging intrekken", "Retirer une autorisation", "Withdraw an authorisation"),
    Deed.END_FLOW: Text("Gegevensstroom beëindigen", "Mettre fin à un flux de données", "End a data flow"),
    Deed.AUTHORISE_RULE: Text("Regel machtigen", "Autoriser une règle", "Authorise a rule"),
    Deed.APPROVE_RULE: Text("Regel goedkeuren", "Approuver une règle", "Approve a rule"),
    Deed.DECIDE_COMPLAINT: Text("Klacht beslechten", "Statuer sur une plainte", "Decide a complaint"),
}

TARGETS: Mapping[TargetKind, Text] = {
    TargetKind.SIGNER: Text("sleutel van een lid", "clé d'un membre", "member's key"),
    TargetKind.CONVENTION: Text("overeenkomst", "convention", "convention"),
    TargetKind.ADVISER: Text("veiligheidsadviseur", "conseiller en sécurité", "security adviser"),
    TargetKind.AUTHORISATION: Text("machtiging", "autorisation", "authorisation"),
    TargetKind.PARTY: Text("partij", "partie", "party"),
    TargetKind.PERSON: Text("persoon", "personne", "person"),
    TargetKind.KEY: Text("sleutel", "clé", "key"),
    TargetKind.RULE: Text("regel", "règle", "rule"),
    TargetKind.FLOW: Text("gegevensstroom", "flux de données", "data flow"),
    TargetKind.COMPLAINT: Text("klacht", "plainte", "complaint"),
}

OUTCOMES: Mapping[Outcome, Text] = {
    Outcome.FAVOURABLE: Text("gunstig", "favorable", "favourable"),
    Outcome.UNFAVOURABLE: Text("ongunstig", "défavorable", "unfavourable"),
    Outcome.FOUNDED: Text("gegrond", "fondée", "founded"),
    Outcome.UNFOUNDED: Text("ongegrond", "non fondée", "unfounded"),
}

BODIES: Mapping[Body, Text] = {
    Body.COMMISSION: Text("Controlecommissie", "Commission de contrôle", "Control Commission"),
    Body.COMMITTEE: Text("Coördinatiecomité", "Comité de coordination", "Coordination Committee"),
}

RANKS: Mapping[Rank, Text] = {
    Rank.CHAIR: Text("voorzitter", "président", "chair"),
    Rank.VICE_CHAIR: Text("ondervoorzitter", "vice-président", "vice-chair"),
    Rank.MEMBER: Text("lid", "membre", "member"),
    Rank.DEPUTY: Text("plaatsvervanger", "suppléant", "deputy"),
}

_LABELS: Mapping[str, Text] = {
    "act": Text("Handeling", "Acte", "Act"),
    "about": Text("Betreft", "Objet", "About"),
    "outcome": Text("Uitkomst", "Issue", "Outcome"),
    "name": Text("Naam", "Nom", "Name"),
    "body": Text("Orgaan", "Organe", "Body"),
    "rank": Text("Hoedanigheid", "Qualité", "Rank"),
    "reason": Text("Reden", "Motif", "Reason"),
    "digest": Text("Vingerafdruk (SHA-256)", "Empreinte (SHA-256)", "Digest (SHA-256)"),
    "sequence": Text("Volgnummer", "Numéro d'ordre", "Sequence"),
}


def describe(act: Act) -> list[tuple[Text, Text]]:
    """What `act` says, line by line, out of the bytes that are signed and nothing else."""
    lines = [
        (_LABELS["act"], DEEDS[act.act]),
        (_LABELS["about"], _joined(TARGETS[act.target.kind], act.target.id)),
    ]
    if act.outcome is not None:
        lines.append((_LABELS["outcome"], OUTCOMES[act.outcome]))
    if act.appointed is not None:
        lines += [
            (_LABELS["name"], _same(act.appointed.name)),
            (_LABELS["body"], BODIES[act.appointed.body]),
            (_LABELS["rank"], RANKS[act.appointed.rank]),
        ]
    lines.append((_LABELS["reason"], act.reason))
    if act.target.digest is not None:
        lines.append((_LABELS["digest"], _same(act.target.digest)))
    lines.append((_LABELS["sequence"], _same(str(act.sequence))))
    return lines


def _same(words: str) -> Text:
    return Text(words, words, words)


def _joined(text: Text, words: str) -> Text:
    return Text(f"{text.nl} {words}", f"{text.fr} {words}", f"{text.en} {words}")
