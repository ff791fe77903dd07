"""The start page: what this is, and where each reader goes from here; and the page about its interface."""

from typing import Any

from litestar import MediaType, Request, get
from litestar.di import NamedDependency
from litestar.openapi.plugins import OpenAPIRenderPlugin

from koinon.base.database import Database
from koinon.base.settings import Settings
from koinon.portal import N_, NavigationItem, portal_of, render
from koinon.trust.standing import Standing

navigation = [NavigationItem(label=N_("Service description"), path="/schema", order=90, section="footer")]


class DescriptionPage(OpenAPIRenderPlugin):
    """What stands in the OpenAPI document, for people: read without a script, as every page here."""

    def __init__(self) -> None:
        super().__init__(path="/", media_type=MediaType.HTML)

    def render(self, request: Request[Any, Any, Any], openapi_schema: dict[str, Any]) -> bytes:
        """A page that lists the operations of the document, by path."""
        operations = [
            (method.upper(), path, operation)
            for path, methods in sorted(openapi_schema["paths"].items())
            for method, operation in methods.items()
            if isinstance(operation, dict) and "responses" in operation
        ]
        return render(request, "app/description.html", operations=operations).content


@get("/", opt={"public": True}, include_in_schema=False)
async def show_start(
    request: Request[Any, Any, Any],
    standing: NamedDependency[Standing],
    database: NamedDependency[Database],
    settings: NamedDependency[Settings],
) -> Any:
    """What the platform is, what is in force on it now, and the pages that this reader may want."""
    acts = standing.acts
    granted = [each for each in standing.agreements.authorisations.values() if each.digest in acts.granted]
    async with database.acquire() as connection:
        sizes = await connection.fetch("SELECT log::text AS log, size FROM ledger.head WHERE NOT closed")
    return render(
        request,
        "app/start.html",
        parties=len(standing.register.parties),
        authorisations=len(granted),
        rules=len(standing.bank),
        stopped=len(acts.suspended) + len(acts.withdrawn) + len(acts.ended_flows),
        sizes={row["log"]: row["size"] for row in sizes},
        viewer=portal_of(request).viewer_of(request),
        embedded=settings.mode == "embedded",
    )


handlers = [show_start]
