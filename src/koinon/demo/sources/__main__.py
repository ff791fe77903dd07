"""`python -m koinon.demo.sources NAME PORT [--control]`: one simulated source; state under KOINON_HOME."""

import sys

from koinon.base.errors import KoinonError
from koinon.base.settings import load_settings
from koinon.demo.sources.run import run_source


def main(arguments: list[str]) -> int:
    """The exit code, once the source was told to stop."""
    names = [argument for argument in arguments if not argument.startswith("--")]
    if len(names) != 2 or not names[1].isdecimal():
        sys.stderr.write(f"{__doc__}\n")
        return 64
    try:
        run_source(names[0], load_settings(), int(names[1]), control="--control" in arguments)
    except KoinonError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
