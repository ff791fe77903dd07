"""The real application over a seeded region, in this process."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from koinon.app.http import build_app
from koinon.app.wiring import Platform, open_platform
from koinon.base.settings import Settings
from koinon.trust.parties.sign_in.edge import SignIn


class Application:
    """The platform's ASGI application, and what it is made of."""

    def __init__(self, asgi: Any, platform: Platform, litestar: Any) -> None:
        self.asgi = asgi
        self.platform = platform
        self.litestar = litestar


@pytest.fixture
async def application(world: Any) -> AsyncIterator[Application]:
    """As a web process builds it; without sources, so that none is asked."""
    settings: Settings = msgspec.structs.replace(
        world.settings,
        port=8000,
        epoch_limit_seconds=30.0,  # a busy test machine is no lost database
    )
    async with open_platform(settings, url=world.url, sources={}) as platform:
        sign_in = SignIn(platform.database, platform.sealer, settings, platform.clock)
        asgi = build_app(platform, sign_in)
        try:
            yield Application(asgi, platform, inner(asgi))
        finally:
            await sign_in.close()


def inner(asgi: Any) -> Any:
    """The Litestar application behind the dispatcher."""
    names = asgi.__code__.co_freevars
    return asgi.__closure__[names.index("app")].cell_contents
