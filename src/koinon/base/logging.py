"""The log: JSON lines on standard error, without national numbers or secrets.

Ours (`structlog.get_logger()`) and that of libraries (`logging`) come out alike. Every line carries the kind
of process, and what was bound to the context, such as the exchange. What must not be read in a log is masked
in one place, here, whoever wrote it; the ledger is where personal data are traced.
"""

import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from typing import Any, Final, TextIO

import msgspec
import structlog

from koinon.base.errors import Invalid

MASK: Final = "***"

# Values under these names are never shown, whatever they are. Compared without case, `-` or `_`.
_SECRET_NAMES: Final = frozenset(
    {
        "seed", "session", "cookie", "setcookie", "subject", "subjects", "nationalnumber", "insz", "inss",
        "niss", "ssin", "rrn", "birthdate", "nonce", "otp", "pin",
    }
)  # fmt: skip
_SECRET_PARTS: Final = (
    "password", "passphrase", "passwd", "secret", "token", "authorization", "privatekey", "apikey",
    "credential", "codeverifier",
)  # fmt: skip

# An 11-digit number, plain or as printed on an identity card (85.07.30-033.28); but not inside a UUID, a
# hexadecimal hash or a longer number, where eleven digits in a row mean nothing.
_SENSITIVE: Final = re.compile(
    r"(?P<keep>\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b(?=[0-9]*[a-f])[0-9a-f]{32,}\b|\d{12,})"
    r"|(?P<number>\d{2}[. /-]?\d{2}[. /-]?\d{2}[. /-]{0,3}\d{3}[. /-]?\d{2}(?!\d))"
    r"|(?P<key>-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|$))"
    r"|(?P<scheme>\b(?:Bearer|Basic|DPoP)) +[A-Za-z0-9._~+/=-]+"
    r"|(?P<user>[a-z][a-z0-9+.-]*://[^\s:/@]*):[^\s@/]+@",
    re.DOTALL | re.IGNORECASE,
)


def configure(level: str, process: str, stream: TextIO | None = None) -> None:
    """From now on this process logs as described above, from `level` up.

    `process` is the kind: web, worker, sequencer, ... `stream` is standard error if not given.

    Raises:
        Invalid: `invalid_setting` for a level that does not exist.
    """
    threshold = logging.getLevelNamesMapping().get(level.upper())
    if threshold is None:
        raise Invalid("invalid_setting", setting="log_level", why=f"{level} is not a level")

    def add_process(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["process"] = process
        return event

    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        add_process,
    ]
    # Tracebacks without the values of local variables: those may be anybody's data.
    last: list[Any] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        mask_event,
        structlog.processors.JSONRenderer(serializer=_serialize),
    ]
    handler = logging.StreamHandler(stream if stream is not None else sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder()], processors=last
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(threshold)
    # These tell every request and every connection at their lowest useful level.
    for chatty in ("httpx", "httpcore", "uvicorn.access"):
        logging.getLogger(chatty).setLevel(max(threshold, logging.WARNING))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.PositionalArgumentsFormatter(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


@contextmanager
def context(**values: Any) -> Iterator[None]:
    """Every line logged inside carries `values`, such as `exchange=`; tasks started inside inherit them."""
    with structlog.contextvars.bound_contextvars(**values):
        yield


def mask_event(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: nothing sensitive is left in `event`, at any depth."""
    for name, value in list(event.items()):
        event[name] = MASK if _is_secret(name) else mask(value)
    return event


def mask(value: Any) -> Any:
    """`value` without national numbers and secrets; what is not JSON becomes its masked text."""
    if isinstance(value, str):
        return _SENSITIVE.sub(_replace, value)
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return MASK if 10**10 <= abs(value) < 10**11 else value
    if isinstance(value, Mapping):
        return {mask(str(key)): MASK if _is_secret(str(key)) else mask(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(inner) for inner in value]
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, msgspec.Struct):
        return mask(msgspec.structs.asdict(value))
    return mask(str(value))


def _is_secret(name: str) -> bool:
    plain = name.lower().replace("-", "").replace("_", "")
    return plain in _SECRET_NAMES or any(part in plain for part in _SECRET_PARTS)


def _replace(match: re.Match[str]) -> str:
    if match["keep"] is not None:
        return match["keep"]
    if match["scheme"] is not None:
        return f"{match['scheme']} {MASK}"
    if match["user"] is not None:
        return f"{match['user']}:{MASK}@"
    return MASK


def _serialize(event: Any, **_: Any) -> str:
    # Lone surrogates (file names, garbage input) would make a line that no reader accepts.
    try:
        return msgspec.json.encode(event).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(_printable(event)).decode()


def _printable(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_printable(key): _printable(inner) for key, inner in value.items()}
    return [_printable(inner) for inner in value] if isinstance(value, list) else value
