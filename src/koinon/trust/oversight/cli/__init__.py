"""`koinon oversight`: acts of the Commission and the Committee, signed with a key file.

`keys` makes key files and lays the root of trust, `acts` has a command for each act, `signing` does what they ask,
`reading` shows the register and the acts.
"""

from collections.abc import Callable, Mapping

import typer

from koinon.trust.oversight.cli import acts, keys, reading

app = typer.Typer(no_args_is_help=True, help="Acts of the Commission and the Committee.")

_COMMANDS: Mapping[str, Callable[..., None]] = {
    "keygen": keys.keygen,
    "genesis": keys.genesis,
    "grant": acts.grant,
    "withdraw": acts.withdraw,
    "suspend": acts.suspend,
    "resume": acts.resume,
    "end-flow": acts.end_flow,
    "advise": acts.advise,
    "approve-rule": acts.approve_rule,
    "authorise-rule": acts.authorise_rule,
    "appoint": acts.appoint,
    "dismiss": acts.dismiss,
    "register": reading.show_register,
    "acts": reading.show_acts,
}
# They take one id, which may be a key's, and one in 64 of those begins with a dash: what is no option is the id.
_OF_A_KEY = ("suspend", "resume", "dismiss")
for _name, _command in _COMMANDS.items():
    app.command(_name, context_settings={"ignore_unknown_options": _name in _OF_A_KEY})(_command)
