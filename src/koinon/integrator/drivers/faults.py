"""Why a source gave no values: every fault code, with what happened."""

from collections.abc import Mapping
from types import MappingProxyType

from koinon.base.text import Text

FAULTS: Mapping[str, Text] = MappingProxyType(
    {
        "timeout": Text(
            "geen volledig antwoord voor de tijd om was",
            "pas de réponse complète avant l’échéance",
            "no complete answer before the deadline",
        ),
        "unreachable": Text(
            "geen verbinding, of ze viel weg voor het antwoord",
            "pas de connexion, ou elle s’est perdue avant la réponse",
            "no connection, or it was lost before an answer",
        ),
        "busy": Text(
            "de bron zei dat ze te veel te doen heeft (429, 503)",
            "la source a dit qu’elle a trop à faire (429, 503)",
            "the source said that it has too much to do (429, 503)",
        ),
        "paused": Text(
            "niet gevraagd: ze faalde of bleef hangen, net tevoren meermaals",
            "pas demandé : elle a échoué ou traîné plusieurs fois juste avant",
            "not asked: it failed or dragged several times just before",
        ),
        "crowded": Text(
            "niet gevraagd: er wachtten al zoveel vragen als er tegelijk mogen wachten",
            "pas demandé : autant de questions qu’il est permis l’attendaient déjà",
            "not asked: as many questions as may wait for it at once were waiting",
        ),
        "http_status": Text(
            "een HTTP-status die het protocol niet voorziet",
            "un statut HTTP que le protocole ne prévoit pas",
            "an HTTP status that the protocol does not foresee",
        ),
        "garbage": Text(
            "niet welgevormd, of niet wat het protocol zegt",
            "mal formé, ou pas ce que dit le protocole",
            "not well-formed, or not what the protocol says",
        ),
        "truncated": Text(
            "het antwoord hield te vroeg op",
            "la réponse s’est arrêtée trop tôt",
            "the answer ended too early",
        ),
        "too_large": Text(
            "het antwoord was groter dan toegestaan",
            "la réponse dépassait la taille permise",
            "the answer was larger than allowed",
        ),
        "forbidden_xml": Text(
            "een documenttype, entiteit of diepte die we niet aanvaarden",
            "un type de document, une entité ou une profondeur que nous n’acceptons pas",
            "a document type, entity or depth that we do not accept",
        ),
        "redirect": Text(
            "de bron wees elders heen; we volgen niet",
            "la source a renvoyé ailleurs ; nous ne suivons pas",
            "the source pointed elsewhere; we do not follow",
        ),
        "wrong_subject": Text(
            "het antwoord ging over iemand anders",
            "la réponse concernait quelqu’un d’autre",
            "the answer was about somebody else",
        ),
        "duplicate_answer": Text(
            "meer dan één antwoord over dezelfde persoon of onderneming",
            "plus d’une réponse sur la même personne ou entreprise",
            "more than one answer about the same subject",
        ),
        "incomplete_answer": Text(
            "geen antwoord over deze persoon of onderneming onder de gegeven antwoorden",
            "pas de réponse sur cette personne ou entreprise parmi celles données",
            "no answer about this subject among those given",
        ),
        "replaced_again": Text(
            "het nummer werd vervangen, en het nieuwe ook",
            "le numéro a été remplacé, et son remplaçant aussi",
            "the number was replaced, and its replacement too",
        ),
        "source_fault": Text(
            "de bron meldde een fout van zichzelf",
            "la source a signalé une erreur de sa part",
            "the source reported a fault of its own",
        ),
        "unknown_subject": Text(
            "de bron kent de persoon of onderneming niet",
            "la source ne connaît pas la personne ou l’entreprise",
            "the source does not know the subject",
        ),
        "not_registered": Text(
            "het verwijzingsrepertorium van de bron houdt de persoon niet voor deze partij en dit doel",
            "le répertoire des références de la source n’a pas la personne pour cette partie et cette finalité",
            "the source's reference directory does not hold the subject for this party and purpose",
        ),
        "purpose_refused": Text(
            "de bron dient dit doel niet voor deze partij",
            "la source ne sert pas cette finalité pour cette partie",
            "the source does not serve this purpose to this party",
        ),
        "outdated": Text(
            "de laatste levering van een bron die bestanden levert is te oud om geloofd te worden",
            "la dernière livraison d’une source qui livre des fichiers est trop ancienne pour être crue",
            "the last delivery of a source that delivers files is too old to be believed",
        ),
        "untrusted": Text(
            "het antwoord is niet door de bron ondertekend voor precies deze vraag",
            "la réponse n’est pas signée par la source pour cette question précise",
            "the answer was not signed by the source for this very question",
        ),
        "not_signed": Text(
            "het antwoord draagt geen handtekening",
            "la réponse ne porte pas de signature",
            "the answer bears no signature",
        ),
        "wrapped": Text(
            "wat ondertekend is, is niet of niet zeker wat het antwoord zegt",
            "ce qui est signé n’est pas, ou pas sûrement, ce que dit la réponse",
            "what is signed is not, or not surely, what the answer says",
        ),
        "weak_algorithm": Text(
            "het antwoord is ondertekend met een algoritme dat we niet geloven",
            "la réponse est signée avec un algorithme que nous ne croyons pas",
            "the answer is signed by an algorithm that we do not believe",
        ),
        "unknown_certificate": Text(
            "het antwoord is ondertekend met een certificaat dat niet van de bron is",
            "la réponse est signée avec un certificat qui n’est pas celui de la source",
            "the answer is signed with a certificate that is not the source's",
        ),
        "ended_certificate": Text(
            "het antwoord is ondertekend met een certificaat dat nu niet geldt",
            "la réponse est signée avec un certificat qui n’est pas valable maintenant",
            "the answer is signed with a certificate that is not valid now",
        ),
        "bad_signature": Text(
            "de handtekening van het antwoord klopt niet",
            "la signature de la réponse ne tient pas",
            "the signature of the answer does not hold",
        ),
        "stale": Text(
            "het antwoord werd te lang geleden ondertekend, of in de toekomst",
            "la réponse a été signée il y a trop longtemps, ou dans le futur",
            "the answer was signed too long ago, or in the future",
        ),
        "no_certificate": Text(
            "niet gevraagd: we hebben geen certificaat dat nu geldt",
            "pas demandé : nous n’avons pas de certificat valable maintenant",
            "not asked: we have no certificate that is valid now",
        ),
        "simulated": Text(
            "een gesimuleerde bron antwoordde waar echte vereist zijn",
            "une source simulée a répondu là où de vraies sont exigées",
            "a simulated source answered where real ones are required",
        ),
        "driver_error": Text(
            "ons stuurprogramma faalde; zie het logboek",
            "notre pilote a échoué ; voir le journal",
            "our driver failed; see the log",
        ),
    }
)
