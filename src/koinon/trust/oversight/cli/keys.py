"""Key files of members, and the root of trust."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from koinon.base.clock import SystemClock
from koinon.base.crypto import SigningKey, b64url
from koinon.base.database import Database
from koinon.base.errors import Conflict, Invalid, NotAllowed
from koinon.base.files import create_file
from koinon.base.ids import new_id
from koinon.base.settings import load_settings
from koinon.trust.agreements.cli import PassphraseFile
from koinon.trust.ledger import Sealer
from koinon.trust.oversight.cli.common import Json, run, tell
from koinon.trust.standing.acts import (
    Body,
    Genesis,
    Rank,
    Signer,
    new_salt,
    record_genesis,
)


def keygen(
    file: Annotated[Path, typer.Argument(help="where the key file goes; FILE.signer.json goes beside it")],
    name: Annotated[str, typer.Option(help="of the member")],
    body: Annotated[Body, typer.Option(help="the Commission or the Committee")] = Body.COMMISSION,
    rank: Annotated[Rank, typer.Option(help="the member's place in it")] = Rank.MEMBER,
    holder: Annotated[
        str, typer.Option(help="id of the person in the register; made up where there is none")
    ] = "",
    passphrase_file: PassphraseFile = None,
    demo: Annotated[bool, typer.Option("--demo", help="no passphrase, and marked demo for ever")] = False,
    as_json: Json = False,
) -> None:
    """A key file only its owner reads, and beside it what the chair needs to appoint its holder."""
    if demo:
        passphrase = None
    elif passphrase_file is not None:
        passphrase = passphrase_file.read_text().rstrip("\n")
    else:
        passphrase = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    key = SigningKey.generate()
    signer = Signer(
        kid=key.key_id,
        kind="ed25519",
        public_key=b64url(key.verify_key.public),
        holder=holder or str(new_id()),
        name=name,
        salt=new_salt(),
        body=body,
        rank=rank,
        demo=demo,
    )
    if not create_file(file, key.to_pem(passphrase)):
        raise Conflict("file_exists", file=file.name)
    public = file.with_name(f"{file.name}.signer.json")
    public.write_bytes(msgspec.json.format(msgspec.json.encode(signer), indent=2) + b"\n")
    tell({"kid": signer.kid, "key": str(file), "signer": str(public)}, as_json)


def genesis(
    signer: Annotated[
        list[Path], typer.Option(exists=True, dir_okay=False, help="FILE.signer.json; several")
    ],
    region: Annotated[str, typer.Option(help="name of the region")] = "brussels",
    as_json: Json = False,
) -> None:
    """The root of trust has been laid: the first members of both bodies. Once; publish the digest it
    prints.
    """
    now = SystemClock().now()
    document = Genesis(region=region, at=now, signers=tuple(read_signer(file) for file in signer))
    if load_settings().mode == "production" and any(each.demo for each in document.signers):
        raise NotAllowed("demo_signer")

    async def main(database: Database, sealer: Sealer) -> None:
        async with database.transaction() as connection:
            await record_genesis(connection, sealer, document, now)
        tell({"region": region, "digest": document.digest, "signers": len(document.signers)}, as_json)

    run(main, "owner")


def read_signer(file: Path) -> Signer:
    """The signer that a `.signer.json` describes. Raises `Invalid: signer_malformed`."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Signer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Invalid("signer_malformed", file=file.name, why=str(error)) from None
