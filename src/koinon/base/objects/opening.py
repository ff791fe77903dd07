"""From the setting `objects_url` to a store."""

from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

from koinon.base.errors import Invalid
from koinon.base.objects.local import LocalObjects
from koinon.base.objects.port import Objects, check_key
from koinon.base.objects.s3 import S3Objects


def open_objects(url: str, home: Path) -> Objects:
    """The store that `url` names.

    - empty: the folder `objects` under `home`;
    - `file:///folder`: that folder;
    - `s3://bucket/prefix?endpoint=https://host:port&region=name`: that bucket; credentials come from the
      environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`), never from the address.

    Raises:
        Invalid: `invalid_setting`.
    """
    if not url:
        return LocalObjects(home / "objects")
    parts = urlsplit(url)
    if parts.scheme == "file" and not parts.netloc and parts.path.startswith("/"):
        return LocalObjects(Path(unquote(parts.path)))
    options = {name: values[0] for name, values in parse_qs(parts.query).items() if len(values) == 1}
    prefix = parts.path.strip("/")
    if (
        parts.scheme == "s3"
        and parts.netloc
        and "@" not in parts.netloc
        and not parts.fragment
        and set(options) <= {"endpoint", "region"}
    ):
        if prefix:
            check_key(prefix)
        return S3Objects(parts.netloc, prefix, **options)
    raise Invalid(
        "invalid_setting", setting="objects_url", why="neither file:///folder nor s3://bucket/prefix"
    )
