"""The standing epoch: one number that rises with every change on which a right could rest.

It is raised by triggers in the transaction that makes the change, so that no writer can forget it. A process that
releases polls it; a notification only wakes the poll earlier, since notifications get lost.
"""

from koinon.base.database import Connection

CHANNEL = "standing"


async def get_epoch(connection: Connection) -> int:
    """The epoch as of this statement."""
    return int(await connection.fetchval("SELECT epoch FROM standing.epoch"))
