"""The built files of `web/`, served from memory under names that change with their content."""

import json
from importlib.resources import files
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from koinon.base.errors import NotFound, Unavailable

PREFIX = "/static"
_TYPES = {
    "js": "text/javascript",
    "css": "text/css",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
    "png": "image/png",
}
_FOREVER = "public, max-age=31536000, immutable"


class Assets:
    """What `python -m koinon.portal.build` made.

    Raises:
        Unavailable: `assets_missing`: the build has not run.
    """

    def __init__(self) -> None:
        folder = files("koinon.portal") / "static"
        manifest = folder / "manifest.json"
        if not manifest.is_file():
            raise Unavailable("assets_missing", run="python -m koinon.portal.build")
        self._manifest: dict[str, str] = json.loads(manifest.read_text())
        # All in memory: no path in a request can reach another file, and a build while this process runs does
        # not take away what its pages name.
        self._bodies = {
            file.name: file.read_bytes() for file in folder.iterdir() if not file.name.startswith(".")
        }

    def address(self, name: str) -> str:
        """Where a page finds the asset `name`.

        Raises:
            KeyError: the build made no such asset.
        """
        return f"{PREFIX}/{self._manifest[name]}"

    def handler(self) -> HTTPRouteHandler:
        """The route that serves them: cached for ever, compressed when the client takes it."""

        @get(PREFIX + "/{name:str}", opt={"public": True}, include_in_schema=False, sync_to_thread=False)
        def serve_asset(name: FromPath[str], request: Request[Any, Any, Any]) -> Response[bytes]:
            return self.serve(name, request.headers.get("accept-encoding", ""))

        return serve_asset

    def serve(self, name: str, encodings: str = "") -> Response[bytes]:
        """The file `name`, in the best of the accepted encodings that the build made.

        Raises:
            NotFound: `no_such_page`.
        """
        kind = _TYPES.get(name.rpartition(".")[2])
        if kind is None or name not in self._bodies:
            raise NotFound("no_such_page")
        headers = {"Cache-Control": _FOREVER, "Vary": "Accept-Encoding"}
        accepted = {part.partition(";")[0].strip() for part in encodings.lower().split(",")}
        for encoding, suffix in (("br", ".br"), ("gzip", ".gz")):
            if encoding in accepted and name + suffix in self._bodies:
                name += suffix
                headers["Content-Encoding"] = encoding
                break
        return Response(self._bodies[name], media_type=kind, headers=headers)
