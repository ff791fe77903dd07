"""`python -m koinon.app.schema_page`: writes docs/reference/schema.txt anew, from the migrations.

The page is what a reviewer of a migration reads; `tests/base/database/test_migration.py` holds it to the truth.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

import asyncpg

from koinon.app.schemas import SCHEMAS
from koinon.base.database import migrate
from koinon.base.database.catalogue import catalogue
from koinon.base.database.embedded import ensure_running

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "schema.txt"
HEAD = """\
# The database, as the migrations make it. Generated: python -m koinon.app.schema_page
# One object after another by name; below each its columns, constraints, indexes, triggers, grants.

"""


async def render(url: str) -> str:
    """The page of the migrated database at `url`."""
    connection = await asyncpg.connect(url)
    try:
        return HEAD + await catalogue(connection)
    finally:
        await connection.close()


async def _migrated(url: str) -> str:
    await migrate(url, SCHEMAS)
    return await render(url)


def main() -> None:
    """The page is written anew."""
    home = Path(tempfile.mkdtemp(prefix="koinon-schema-"))
    home.chmod(0o755)
    page = asyncio.run(_migrated(ensure_running(home, scratch=True)))
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page)
    sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
