"""The database: its embedded server, the pool, the roles, the migrations."""

from koinon.base.database.migration import Schema, migrate
from koinon.base.database.pool import Connection, Database
from koinon.base.database.roles import KINDS, ProcessKind

__all__ = ["KINDS", "Connection", "Database", "ProcessKind", "Schema", "migrate"]
