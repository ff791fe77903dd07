"""The HTTP application: Litestar for pages and ordinary routes, raw ASGI for the exchange route."""

GOVERNED_PATHS = frozenset({"/api/exchanges", "/api/communications"})
