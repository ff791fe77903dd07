"""Libraries that take long to import are imported by who computes with them, not by every process that starts.

A web process answers questions for days without a table in Arrow or a frame of video; a command that fails over a
misspelt option should not have loaded a compiler of SQL first. `tests/app/test_start.py` holds which libraries a start
may load.
"""

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any


class _Late(ModuleType):
    """Stands for a module until something of it is used."""

    def __getattr__(self, name: str) -> Any:
        module = import_module(self.__name__)
        try:
            value = getattr(module, name)
        except AttributeError:
            if name.startswith("__"):
                raise
            value = import_module(
                f"{self.__name__}.{name}"
            )  # a part that is imported by itself: pyarrow.compute
        # Found in our own dictionary from now on: what is used in a loop costs no more than of the module itself.
        setattr(self, name, value)
        return value


def late(name: str) -> Any:
    """The module of that name, which is imported when something of it is used first.

    For a type checker the module is imported beside it:

        if TYPE_CHECKING:
            import pyarrow
        else:
            pyarrow = late("pyarrow")

    Trap: annotations use what they name. A file that has such a module begins with `from __future__ import
    annotations`, and keeps no value of it at the level of the module.
    """
    return _Late(name)


def late_names(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """The `__getattr__` of a package some of whose names (name -> module in it) are imported at their first use.

    As above, for a type checker they are imported beside it.

    Source: PEP 562.
    """

    def find(name: str) -> Any:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{home}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
