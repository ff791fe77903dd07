"""A party's own cameras, handed in by its system.

with Client(url, key, pins, timeout_seconds=600) as client:
    report = Cameras(client).import_file(Path("cameras.csv"))
"""

from pathlib import Path

import msgspec

from koinon.client.clients import Client
from koinon.client.errors import Untrusted
from koinon.video.cameras.importing import ImportReport
from koinon.video.cameras.rows import reader_of
from koinon.video.cameras.systems import CSV, GEOJSON, PREFIX


class Cameras:
    """What a system of a party does with its cameras, over a `Client`."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def import_file(self, file: Path, *, dry_run: bool = False) -> ImportReport:
        """The cameras of the file (CSV or GeoJSON, by its name) are registered or changed; what became of each row.

        Handing it in again changes nothing, so a file whose answer got lost is handed in again.

        Raises:
            Invalid: `file_kind_unknown`.
            Refused: `camera_change_not_allowed`, `columns_missing`, ...
        """
        reader_of(file.name)
        kind = CSV if file.suffix.lower() == ".csv" else GEOJSON
        path = PREFIX + ("trials" if dry_run else "imports")
        said = self._client.run(self._client.conversation.call("POST", path, file.read_bytes(), kind))
        try:
            return msgspec.json.decode(said, type=ImportReport)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Untrusted("answer_malformed") from None
