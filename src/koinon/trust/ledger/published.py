"""A log as it was published: objects below one prefix, as C2SP tlog-tiles lays them out."""

from koinon.base.errors import NotFound
from koinon.base.objects import Objects
from koinon.trust.ledger.model import Log
from koinon.trust.ledger.tiles import Bundle, Tile

CHECKPOINT = "checkpoint"
WITNESSED = "checkpoint.witnessed"


class PublishedLog:
    """The published objects of one generation of a log, at `ledger/<log>/<generation>/`."""

    def __init__(self, objects: Objects, log: Log, generation: int) -> None:
        self.objects = objects
        self.prefix = f"ledger/{log.value}/{generation}/"

    async def tile(self, tile: Tile) -> bytes:
        """The hash tile; a full one where the partial one has been removed since.

        Raises:
            NotFound: `object_not_found`.
        """
        return await self._get(tile.path, Tile(tile.level, tile.index).path)

    async def bundle(self, bundle: Bundle) -> bytes:
        """The entry bundle; as `tile`."""
        return await self._get(bundle.path, Bundle(bundle.index).path)

    async def find(self, name: str) -> bytes | None:
        """The object of that name, if there is one."""
        try:
            return await self.objects.get(self.prefix + name)
        except NotFound:
            return None

    async def put(self, name: str, data: bytes) -> None:
        """The object is durable."""
        await self.objects.put(self.prefix + name, data)

    async def delete(self, name: str) -> None:
        """The object is gone."""
        await self.objects.delete(self.prefix + name)

    async def _get(self, path: str, full: str) -> bytes:
        try:
            return await self.objects.get(self.prefix + path)
        except NotFound:
            if path == full:
                raise
            return await self.objects.get(self.prefix + full)
