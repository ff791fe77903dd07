"""The command line of the portal's build."""

import argparse
import sys

from .assets import AssetsError, build_assets, check_assets, find_checkout
from .catalogues import check_texts, compile_catalogues, find_slices, update_catalogues


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0 when all is built, or when nothing is wrong."""
    parser = argparse.ArgumentParser(prog="python -m koinon.portal.build", description=__doc__)
    parser.add_argument("--update", action="store_true", help="extract texts, merge them into the .po files")
    parser.add_argument("slices", nargs="*", help="with --update: only the catalogues of these slices")
    parser.add_argument("--check", action="store_true", help="type-check, find missing texts, check the lock")
    parser.add_argument("--force", action="store_true", help="build the assets even if nothing changed")
    chosen = parser.parse_args(arguments)
    checkout = find_checkout()
    if checkout is None:
        print("an installed package is already built: nothing to do", file=sys.stderr)
        return 0
    slices = find_slices(checkout / "src" / "koinon")
    try:
        if chosen.update:
            for line in update_catalogues(slices, chosen.slices):
                print(line)
        if chosen.check:
            found = [*check_texts(slices), *check_assets(checkout)]
            for line in found:
                print(line, file=sys.stderr)
            return 1 if found else 0
        built = build_assets(checkout, force=chosen.force)
        compiled = compile_catalogues(slices)
        print(f"assets {'built' if built else 'unchanged'}, {compiled} catalogue(s) compiled")
    except AssetsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
