"""`koinon`: one program, its parts as sub-commands. Only the part that is called is imported."""

import os
import sys
from importlib import import_module

import typer

from koinon.base.errors import KoinonError

# Sub-command -> module whose `app` (a Typer) holds it, and one line of help.
PARTS = {
    "run": ("koinon.app.run", "run a process of the platform"),
    "demo": ("koinon.app.demo", "the Brussels demo region, or its story once"),
    "ask": ("koinon.client.cli", "ask a governed question as a system of a party"),
    "batch": ("koinon.client.batches_cli", "questions about many, in one file: send, status, result, prove"),
    "mutations": (
        "koinon.client.mutations_cli",
        "that something changed, keys only: publish, subscribe, follow",
    ),
    "dossiers": (
        "koinon.client.dossiers_cli",
        "a party's files on persons, entered by its system with proof",
    ),
    "pins": ("koinon.client.pins_cli", "the keys by which a platform is believed: fetch and compare"),
    "cameras": ("koinon.client.cameras_cli", "a party's own cameras, handed in by its system"),
    "rules": (
        "koinon.trust.oversight.rules_cli",
        "the rule bank: check, explain, replay, export, propose, follow",
    ),
    "ledger": ("koinon.trust.ledger.cli", "the ledger: verify, prove, fsck, export"),
    "video": ("koinon.video.cli", "cameras: register, record, check, export"),
    "parties": ("koinon.trust.parties.cli", "organisations, persons, systems, keys"),
    "agreements": ("koinon.trust.agreements.cli", "conventions and authorisations"),
    "integrator": ("koinon.integrator.cli", "messages and stored answers of sources"),
    "certificates": (
        "koinon.integrator.drivers.signed.cli",
        "our keys and certificates towards sources: make, put, list",
    ),
    "statistics": (
        "koinon.integrator.processing.cli",
        "data sets, their privacy budgets, what noise would mean",
    ),
    "oversight": ("koinon.trust.oversight.cli", "acts of the Commission and the Committee"),
    "conform": ("koinon.integrator.conform.cli", "named cases: a platform, your own system, your own source"),
    "sandbox": ("koinon.integrator.operations.sandbox.cli", "parties that try: open, reset, what to expect"),
    "bench": ("koinon.app.bench", "measure the numbers that the project claims"),
}


def main() -> None:
    """Entry point. Errors of ours end with a sentence and their code on standard error, and their exit code."""
    from koinon.base.logging import configure

    configure("warning", "command")  # a process configures its own; a command's output is its result alone
    called = next((word for word in sys.argv[1:] if not word.startswith("-")), None)
    try:
        _app(called)()
    except KoinonError as error:
        # Imported when something went wrong only: the words stand with the pages, which a command does not need.
        from koinon.app.words import language_of, tell

        print(f"koinon: {tell(error, language_of(os.environ))}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    except BrokenPipeError:
        raise SystemExit(141) from None


def _app(called: str | None, *, whole: bool = False) -> typer.Typer:
    """The program with the part that is called, or with the `whole` of them."""
    app = typer.Typer(
        name="koinon",
        help="What a region's public services share instead of own.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )

    @app.callback()
    def root() -> None:
        """State lives in KOINON_HOME; settings come from the environment and its koinon.toml."""

    for name, (module, help_) in PARTS.items():
        if whole or called == name:
            app.add_typer(import_module(module).app, name=name, help=help_)
        else:
            # Named in the help, not imported: a start must not pay for parts that are not called.
            app.add_typer(typer.Typer(), name=name, help=help_, hidden=called in PARTS)
    return app


if __name__ == "__main__":
    main()
