"""A bucket, or whatever `base.objects` reaches. It cannot rename: who writes the mark of a taking first, has it."""

from collections.abc import Sequence

from koinon.base.errors import Conflict, KoinonError, NotFound
from koinon.base.objects import Objects
from koinon.integrator.drivers.driver import WireFault
from koinon.integrator.drivers.files.place import (
    FAILED,
    IN,
    LIMIT_BYTES,
    TAKING,
    Delivery,
    FileRefused,
    is_known_name,
    is_name,
    original_name,
)


class ObjectsPlace:
    """Deliveries under the folder `prefix` of a store.

    The mark names the object and the instant at which it was written, so that the same name can be delivered again.
    The bytes stay in `in/` until they are settled; a taker that dies leaves its mark, and the delivery is taken again
    when somebody resumes it.
    """

    def __init__(self, objects: Objects, prefix: str) -> None:
        self._objects = objects
        self._prefix = prefix

    async def list(self, folder: str) -> Sequence[Delivery]:
        """See `Place.list`."""
        accepted = is_name if folder == IN else is_known_name
        start = f"{self._prefix}/{folder}/"
        found = []
        try:
            async for info in self._objects.list(f"{self._prefix}/{folder}"):
                name = info.key.removeprefix(start)
                if "/" not in name and accepted(name):
                    found.append(Delivery(info.modified_at, name, info.size_bytes))
        except KoinonError as error:
            raise WireFault("unreachable", error.code) from None
        return sorted(found)

    async def take(self, name: str) -> str | None:
        """See `Place.take`."""
        if not is_name(name):
            return None
        lying = [one for one in await self.list(IN) if one.name == name]
        if not lying:
            return None
        written_us = int(lying[0].modified_at.timestamp() * 1_000_000)
        taken = f"{name}={written_us:016x}"
        try:
            await self._objects.put(self._key(TAKING, taken), b"", if_absent=True)
        except Conflict:
            return None
        except KoinonError as error:
            raise WireFault("unreachable", error.code) from None
        return taken

    async def read(self, folder: str, name: str, limit_bytes: int = LIMIT_BYTES) -> bytes:
        """See `Place.read`."""
        key = self._key(IN, original_name(name)) if folder == TAKING else self._key(folder, name)
        try:
            # One byte more than allowed tells; what lies there may be any size.
            data = await self._objects.get_range(key, 0, limit_bytes + 1)
        except NotFound:
            raise FileRefused("delivery_gone") from None
        except KoinonError as error:
            if error.code == "object_range":
                return b""
            raise WireFault("unreachable", error.code) from None
        if len(data) > limit_bytes:
            raise FileRefused("delivery_too_large")
        return data

    async def settle(self, taken: str, folder: str, why: str = "") -> None:
        """See `Place.settle`. One that is too large to read is deleted, and only the reason stays."""
        lying = self._key(IN, original_name(taken))
        try:
            if why:
                await self._objects.put(self._key(FAILED, f"{taken}.why"), f"{why}\n".encode())
            if why != "delivery_too_large":
                try:
                    data = await self._objects.get(lying)
                except NotFound:
                    data = None
                if data is not None:
                    await self._objects.put(self._key(folder, taken), data)
            await self._objects.delete(lying)
            await self._objects.delete(self._key(TAKING, taken))
        except KoinonError as error:
            raise WireFault("unreachable", error.code) from None

    async def close(self) -> None:
        """See `Place.close`."""

    def _key(self, folder: str, name: str) -> str:
        return f"{self._prefix}/{folder}/{name}"
