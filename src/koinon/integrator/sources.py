"""The authentic sources this installation is connected to, from `home/sources.toml`.

```toml
[rijksregister]
address = "https://..."
networks = ["10.4.0.0/16"]   # private networks that are meant; public addresses always are
```

A source that is not named is not connected: what depends on it is answered `no_answer`. `magda` also needs
`sender`, the identification of our application there, and `capacities`, its `Hoedanigheid` for each of our purposes:

```toml
[magda]
address = "https://..."
sender = "..."
capacities = { social_dwelling_admission = "..." }
```
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path

import msgspec

from koinon.base.errors import Invalid
from koinon.base.settings import Settings
from koinon.integrator.drivers import (
    REGISTERS,
    Candidates,
    HttpClient,
    Kbo,
    Ksz,
    Magda,
    Reachable,
    Register,
    Rijksregister,
    Source,
    SqlClient,
    read_address,
)

FILE = "sources.toml"


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a source is reached.

    Attributes:
        address: URL, `https:` or `postgresql:`; `http:` only in the embedded mode.
        networks: private networks in which it may be.
        keeper: enterprise number of the party that keeps it, who sees every use of it.
        simulated: a simulated source is meant; production refuses it.
        sender: how we are known to another integrator.
        capacities: in which capacity it authorised us, by purpose code.
    """

    address: str
    networks: tuple[str, ...] = ()
    keeper: str = ""
    simulated: bool = False
    sender: str = ""
    capacities: Mapping[str, str] = {}


def read_source_settings(home: Path) -> Mapping[str, SourceSettings]:
    """The connected sources by name.

    Raises:
        Invalid: `invalid_setting`.
    """
    file = home / FILE
    if not file.exists():
        return {}
    try:
        return msgspec.convert(tomllib.loads(file.read_text()), dict[str, SourceSettings])
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise Invalid("invalid_setting", setting=str(file), why=str(error)) from None


def open_sources(settings: Settings) -> dict[str, Source]:
    """A driver for each connected source.

    Raises:
        Invalid: `invalid_setting`, `source_unknown`, `simulated_in_production`, and what `read_address` raises.
    """
    sources: dict[str, Source] = {}
    for name, how in read_source_settings(settings.home).items():
        if how.simulated and settings.mode == "production":
            raise Invalid("simulated_in_production", source=name)
        reachable = Reachable(networks=how.networks, plain_http=settings.mode == "embedded")
        address = read_address(how.address, reachable)
        if name == "candidates":
            sources[name] = Candidates(SqlClient(address, reachable), accept_simulated=how.simulated)
            continue
        client = HttpClient(address, reachable, accept_simulated=how.simulated)
        match name:
            case "rijksregister":
                sources[name] = Rijksregister(client)
            case "ksz":
                sources[name] = Ksz(client)
            case "kbo":
                sources[name] = Kbo(client)
            case "magda":
                sources[name] = Magda(client, sender=how.sender, capacities=how.capacities)
            case _ if name in REGISTERS:
                sources[name] = Register(name, client)
            case _:
                raise Invalid("source_unknown", source=name)
    return sources


class SourceKeepers:
    """Which party keeps which source; see `gate.keepers.Keepers`."""

    def __init__(self, settings: Mapping[str, SourceSettings]) -> None:
        self._settings = settings

    def is_kept_by(self, resource: str, enterprise_number: str) -> bool:
        """Whether this enterprise keeps the source of `resource`."""
        source = self._settings.get(resource.partition("/")[0])
        return source is not None and source.keeper == enterprise_number
