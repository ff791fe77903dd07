"""Acts of the Commission and the Committee: each command says which act is wanted."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from koinon.base.errors import Invalid
from koinon.base.text import Text
from koinon.trust.agreements.cli import KeyFile, PassphraseFile, Server
from koinon.trust.oversight.cli.common import Json, Shown
from koinon.trust.oversight.cli.keys import read_signer
from koinon.trust.oversight.cli.signing import Wanted, sign
from koinon.trust.standing.acts import (
    Deed,
    Outcome,
    TargetKind,
    signer_digest,
)

Yes = Annotated[bool, typer.Option("--yes", help="sign without asking once more")]
ReasonNl = Annotated[str, typer.Option("--reason-nl", help="the reason, in Dutch")]
ReasonFr = Annotated[str, typer.Option("--reason-fr", help="the reason, in French")]
ReasonEn = Annotated[str, typer.Option("--reason-en", help="the reason, in English")]
Number = Annotated[str, typer.Argument(help="the authorisation's number, as 2026/014")]
Kind = Annotated[TargetKind, typer.Option(help="what is stopped")]
Rules = Annotated[list[str], typer.Argument(help="names of rules; an act for each")]
Digest = Annotated[
    str, typer.Option(help="digest of exactly what is agreed to; found by itself where it is public")
]


def grant(
    number: Number, key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False, language: Shown = "en",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The authorisation has been granted, exactly as it was asked for."""
    wanted = Wanted(Deed.GRANT, TargetKind.AUTHORISATION, number)
    sign(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


def withdraw(
    number: Number, key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False, language: Shown = "en",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The authorisation has been withdrawn for good; one that was only asked for has been refused."""
    wanted = Wanted(Deed.WITHDRAW, TargetKind.AUTHORISATION, number)
    sign(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


def suspend(
    id: Annotated[str, typer.Argument(help="number, name or id of what is suspended")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    kind: Kind = TargetKind.AUTHORISATION, passphrase_file: PassphraseFile = None, server: Server = "",
    yes: Yes = False, language: Shown = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """An authorisation, party, person, key, rule or flow has been suspended; its running uses are cut."""
    wanted = Wanted(Deed.SUSPEND, kind, id)
    sign(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


def resume(
    id: Annotated[str, typer.Argument(help="number, name or id of what was suspended")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    kind: Kind = TargetKind.AUTHORISATION, passphrase_file: PassphraseFile = None, server: Server = "",
    yes: Yes = False, language: Shown = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """The suspension has ended."""
    wanted = Wanted(Deed.RESUME, kind, id)
    sign(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


def end_flow(
    flow: Annotated[str, typer.Argument(help="the flow's name")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False, language: Shown = "en",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The data flow has ended for good; its running uses are cut."""
    wanted = Wanted(Deed.END_FLOW, TargetKind.FLOW, flow)
    sign(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


def advise(
    kind: Annotated[TargetKind, typer.Argument(help="convention or adviser")],
    id: Annotated[str, typer.Argument(help="the convention's name, or the adviser's id")],
    outcome: Annotated[Outcome, typer.Option(help="favourable or unfavourable")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    digest: Digest = "", passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False,
    language: Shown = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """The Commission has advised on a convention, or on a security adviser who is proposed."""
    deeds = {TargetKind.CONVENTION: Deed.ADVISE_CONVENTION, TargetKind.ADVISER: Deed.ADVISE_ADVISER}
    if kind not in deeds:
        raise Invalid("act_malformed", why=f"no advice on a {kind.value}")
    wanted = Wanted(deeds[kind], kind, id, digest, outcome)
    sign(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


def approve_rule(
    ids: Rules,
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    digest: Digest = "", passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False,
    language: Shown = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """A member of the Committee has approved the newest version of each rule, or the one with that digest."""
    reason = Text(reason_nl, reason_fr, reason_en)
    for wanted in _rules(Deed.APPROVE_RULE, ids, digest):
        sign(wanted, reason, key, passphrase_file, server, yes, language, as_json)


def authorise_rule(
    ids: Rules,
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    digest: Digest = "", passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False,
    language: Shown = "en", as_json: Json = False,
) -> None:  # fmt: skip
    """The Commission has authorised the newest version of each rule, or the one with that digest."""
    reason = Text(reason_nl, reason_fr, reason_en)
    for wanted in _rules(Deed.AUTHORISE_RULE, ids, digest):
        sign(wanted, reason, key, passphrase_file, server, yes, language, as_json)


def appoint(
    signer: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="FILE.signer.json of the member")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False, language: Shown = "en",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The member may sign from now on. Signed by the chair or vice-chair of the Commission."""
    appointed = read_signer(signer)
    wanted = Wanted(
        Deed.APPOINT_SIGNER, TargetKind.SIGNER, appointed.kid, signer_digest(appointed), None, appointed
    )
    sign(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


def dismiss(
    kid: Annotated[str, typer.Argument(help="key id of the member")],
    key: KeyFile, reason_nl: ReasonNl, reason_fr: ReasonFr, reason_en: ReasonEn,
    passphrase_file: PassphraseFile = None, server: Server = "", yes: Yes = False, language: Shown = "en",
    as_json: Json = False,
) -> None:  # fmt: skip
    """The member signs no more. Signed by the chair or vice-chair of the Commission."""
    wanted = Wanted(Deed.DISMISS_SIGNER, TargetKind.SIGNER, kid)
    sign(wanted, Text(reason_nl, reason_fr, reason_en), key, passphrase_file, server, yes, language, as_json)


def _rules(deed: Deed, ids: Sequence[str], digest: str) -> list[Wanted]:
    """An act for each rule; a digest is of one."""
    if digest and len(ids) > 1:
        raise Invalid("act_malformed", why="a digest is of one rule")
    return [Wanted(deed, TargetKind.RULE, each, digest) for each in ids]
