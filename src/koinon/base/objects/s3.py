"""Objects in a bucket of any S3 server that knows conditional writes (`If-None-Match: *`)."""

import contextlib
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError, PreconditionError
from obstore.store import S3Store

from koinon.base.errors import Conflict, Invalid, NotFound, Unavailable
from koinon.base.objects.port import ObjectInfo, check_key, check_range

# The library's own patience, ten tries in three minutes, would outlast every caller here.
_MAX_RETRIES: Final = 3
_RETRY_SECONDS: Final = 15
_TIMEOUT_SECONDS: Final = 30


class S3Objects:
    """Objects in `bucket`, under `prefix`.

    `endpoint` is empty for Amazon's own. Credentials and region that are not given come from the environment
    (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`).
    """

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        endpoint: str = "",
        region: str = "",
        access_key_id: str = "",
        secret_access_key: str = "",
    ) -> None:
        settings = {
            "endpoint": endpoint,
            "region": region,
            "access_key_id": access_key_id,
            "secret_access_key": secret_access_key,
        }
        try:
            self._store = S3Store(
                bucket,
                prefix=prefix or None,
                config={name: value for name, value in settings.items() if value},  # type: ignore[arg-type]
                client_options={
                    "allow_http": endpoint.startswith("http://"),
                    "timeout": timedelta(seconds=_TIMEOUT_SECONDS),
                },
                retry_config={
                    "max_retries": _MAX_RETRIES,
                    "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
                },
            )
        except BaseError as error:
            raise Invalid("invalid_setting", setting="objects_url", why=type(error).__name__) from None

    async def put(self, key: str, data: bytes, *, if_absent: bool = False) -> None:
        check_key(key)
        with _faults(key):
            # In parts, an object cannot be made conditionally.
            await obstore.put_async(
                self._store,
                key,
                data,
                mode="create" if if_absent else "overwrite",
                use_multipart=False if if_absent else None,
            )

    async def get(self, key: str) -> bytes:
        check_key(key)
        with _faults(key):
            found = await obstore.get_async(self._store, key)
            return bytes(await found.bytes_async())

    async def get_range(self, key: str, start: int, length: int) -> bytes:
        check_key(key)
        check_range(start, length)
        with _faults(key):
            size = (await obstore.head_async(self._store, key))["size"]
            if start >= size:
                raise Invalid("object_range", key=key)
            # Servers answer differently to a range that goes past the end.
            wanted = min(length, size - start)
            return bytes(await obstore.get_range_async(self._store, key, start=start, length=wanted))

    async def list(self, folder: str = "") -> AsyncIterator[ObjectInfo]:
        prefix = check_key(folder) if folder else None
        with _faults(folder):
            async for page in obstore.list(self._store, prefix, chunk_size=1000):
                for entry in page:
                    yield ObjectInfo(entry["path"], entry["size"], entry["last_modified"])

    async def delete(self, key: str) -> None:
        check_key(key)
        with _faults(key), contextlib.suppress(FileNotFoundError, NotFoundError):
            await obstore.delete_async(self._store, key)

    async def keeps_versions(self, key: str) -> bool:
        check_key(key)
        with _faults(key):
            # Of a bucket that never had versions no object has one. Where they were ever turned on each has, if only
            # `null`; a bucket cannot go back, and one with object lock always has them.
            return (await obstore.head_async(self._store, key))["version"] is not None


@contextlib.contextmanager
def _faults(key: str) -> Iterator[None]:
    try:
        yield
    except (NotFoundError, FileNotFoundError):
        raise NotFound("object_not_found", key=key) from None
    except (AlreadyExistsError, PreconditionError):
        raise Conflict("object_exists", key=key) from None
    except (BaseError, OSError) as error:
        raise Unavailable("objects_unavailable", why=type(error).__name__) from error
