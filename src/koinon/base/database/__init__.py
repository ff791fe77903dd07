"""The database: its embedded server, the pool, the roles, the migrations."""

from koinon.base.database.migration import Schema, migrate
from koinon.base.database.pool import BROKEN, Connection, Database, is_gone
from koinon.base.database.roles import KINDS, ProcessKind

__all__ = ["BROKEN", "KINDS", "Connection", "Database", "ProcessKind", "Schema", "is_gone", "migrate"]
