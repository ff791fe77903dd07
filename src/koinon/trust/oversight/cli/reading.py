"""What the public may read: the register, the acts."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from koinon.base.clock import SystemClock
from koinon.base.database import Database
from koinon.trust.ledger import Sealer
from koinon.trust.oversight.cli.common import Json, print_json, run
from koinon.trust.oversight.register import public_register, public_signed_act
from koinon.trust.rules import load_rules
from koinon.trust.standing import StandingLoader
from koinon.trust.standing.acts import (
    list_acts,
)


def show_register(as_json: Json = False) -> None:
    """The public register: what is in force, suspended, withdrawn, now."""

    async def main(database: Database, sealer: Sealer) -> None:
        async with database.acquire() as connection:
            standing = await StandingLoader()(connection)
            rules = await load_rules(connection)
        register = public_register(standing, rules, SystemClock().now())
        if as_json:
            print_json(register)
            return
        console = Console()
        console.print(f"{register.region}: {register.sequence} acts, head {register.head[:16]}")
        table = Table("what", "name", "state", "from", "until")
        for authorisation in register.authorisations:
            table.add_row(
                "authorisation",
                authorisation.number,
                authorisation.state.value,
                authorisation.valid_from.isoformat(),
                authorisation.valid_until.isoformat(),
            )
        for convention in register.conventions:
            table.add_row(
                "convention",
                f"{convention.id} v{convention.version}",
                convention.state.value,
                convention.valid_from.isoformat(),
                convention.valid_until.isoformat() if convention.valid_until else "",
            )
        for held in register.suspended:
            table.add_row(held.kind, held.id or "", "suspended", held.since.date().isoformat(), "")
        for flow in register.ended_flows:
            table.add_row("flow", flow, "ended", "", "")
        console.print(table)

    run(main)


def show_acts(
    after: Annotated[int, typer.Option(help="only acts past this sequence")] = 0, as_json: Json = False
) -> None:
    """The acts, oldest first, as the public may read them; the whole chain is verified first."""

    async def main(database: Database, sealer: Sealer) -> None:
        async with database.acquire() as connection:
            standing = await StandingLoader()(connection)
            signed = await list_acts(connection, after=after, limit=1_000_000)
        if as_json:
            print_json([public_signed_act(each) for each in signed])
            return
        table = Table("sequence", "at", "act", "about", "signer")
        for act in standing.chain.acts[after:]:
            known = standing.acts.signers.get(act.signer)
            table.add_row(
                str(act.sequence),
                act.at.isoformat(timespec="seconds"),
                act.act.value,
                f"{act.target.kind.value} {act.target.id}",
                known.name if known else act.signer[:12],
            )
        Console().print(table)

    run(main)
