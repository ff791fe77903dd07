"""What the database consists of, as text: to see that migrations lead to the schema that is documented.

`python -m koinon.base.database.catalogue URL` prints it.
"""

import asyncio
import sys

import asyncpg

# Every object of the schemas given, one line each, independent of the order of creation and of the owner's name.
# Functions are told by a hash of their body, after their signature.
_LINES = """
WITH space AS (
    SELECT oid, nspname, nspacl FROM pg_catalog.pg_namespace
    WHERE nspname !~ '^pg_' AND nspname NOT IN ('information_schema', 'public')
), relation AS (
    SELECT c.oid, space.nspname || '.' || c.relname AS name, c.relkind, c.relacl, c.relpersistence,
           c.relrowsecurity, c.reloptions
    FROM pg_catalog.pg_class AS c JOIN space ON space.oid = c.relnamespace
), line (object, rank, text) AS (
    SELECT nspname, 0, 'schema ' || nspname FROM space
    UNION ALL
    SELECT name, 1,
           CASE relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'partitioned table' WHEN 'v' THEN 'view'
                        WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence' ELSE relkind::text END
           || ' ' || name
           || CASE relpersistence WHEN 'u' THEN ' unlogged' ELSE '' END
           || CASE WHEN relrowsecurity THEN ' row security' ELSE '' END
           || coalesce(' with (' || array_to_string(reloptions, ', ') || ')', '')
    FROM relation WHERE relkind IN ('r', 'p', 'v', 'm', 'S')
    UNION ALL
    SELECT name, 2, '    ' || regexp_replace(pg_get_viewdef(oid), '\\s+', ' ', 'g') FROM relation WHERE relkind IN ('v', 'm')
    UNION ALL
    SELECT name, 3,
           '    column ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
           || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
           || CASE a.attidentity WHEN 'a' THEN ' identity always' WHEN 'd' THEN ' identity' ELSE '' END
           || CASE a.attgenerated WHEN 's' THEN ' stored' WHEN 'v' THEN ' virtual' ELSE '' END
           || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
    FROM relation JOIN pg_catalog.pg_attribute AS a ON a.attrelid = relation.oid
    LEFT JOIN pg_catalog.pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    -- Not-null constraints are told with their columns.
    SELECT name, 4, '    constraint ' || k.conname || ' ' || pg_get_constraintdef(k.oid)
    FROM relation JOIN pg_catalog.pg_constraint AS k ON k.conrelid = relation.oid WHERE k.contype <> 'n'
    UNION ALL
    SELECT name, 5, '    index ' || pg_get_indexdef(i.indexrelid)
    FROM relation JOIN pg_catalog.pg_index AS i ON i.indrelid = relation.oid
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
    UNION ALL
    SELECT name, 6, '    trigger ' || pg_get_triggerdef(t.oid) || CASE t.tgenabled WHEN 'O' THEN '' ELSE ' ' || t.tgenabled::text END
    FROM relation JOIN pg_catalog.pg_trigger AS t ON t.tgrelid = relation.oid WHERE NOT t.tgisinternal
    UNION ALL
    SELECT name, 7, '    policy ' || p.polname || ' ' || p.polcmd::text || ' using ' || coalesce(pg_get_expr(p.polqual, p.polrelid), '-')
           || ' check ' || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), '-')
    FROM relation JOIN pg_catalog.pg_policy AS p ON p.polrelid = relation.oid
    UNION ALL
    SELECT space.nspname || '.' || t.typname, 1,
           'type ' || space.nspname || '.' || t.typname || ' '
           || CASE t.typtype
                WHEN 'e' THEN 'enum ' || (SELECT string_agg(quote_literal(enumlabel), ', ' ORDER BY enumsortorder)
                                          FROM pg_catalog.pg_enum WHERE enumtypid = t.oid)
                WHEN 'd' THEN 'domain ' || format_type(t.typbasetype, t.typtypmod) || coalesce(
                        ' ' || (SELECT string_agg(pg_get_constraintdef(k.oid), ' ' ORDER BY k.conname)
                                FROM pg_catalog.pg_constraint AS k WHERE k.contypid = t.oid), '')
                ELSE 'composite ' || (SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
                                      FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = t.typrelid)
              END
    FROM pg_catalog.pg_type AS t JOIN space ON space.oid = t.typnamespace
    WHERE t.typtype IN ('e', 'd')
       OR t.typtype = 'c' AND EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = t.typrelid AND c.relkind = 'c')
    UNION ALL
    SELECT space.nspname || '.' || f.proname || '(' || pg_get_function_identity_arguments(f.oid) || ')', 1,
           CASE f.prokind WHEN 'p' THEN 'procedure ' WHEN 'a' THEN 'aggregate ' ELSE 'function ' END
           || space.nspname || '.' || f.proname || '(' || pg_get_function_arguments(f.oid) || ')'
           || coalesce(' returns ' || pg_get_function_result(f.oid), '')
           || CASE WHEN f.prosecdef THEN ' security definer' ELSE '' END
           || CASE f.provolatile WHEN 'i' THEN ' immutable' WHEN 's' THEN ' stable' ELSE '' END
           || coalesce(' set ' || array_to_string(f.proconfig, ', '), '')
           || ' body ' || left(encode(sha256(convert_to(f.prosrc || coalesce(pg_get_function_sqlbody(f.oid), ''), 'UTF8')), 'hex'), 16)
    FROM pg_catalog.pg_proc AS f JOIN space ON space.oid = f.pronamespace
    UNION ALL
    SELECT object, 8, '    grant ' || string_agg(privilege_type, ', ' ORDER BY privilege_type) || part || ' to '
           || CASE grantee WHEN 0 THEN 'public' ELSE pg_get_userbyid(grantee)::text END
    FROM (
        SELECT nspname AS object, '' AS part, g.* FROM space, aclexplode(nspacl) AS g
        UNION ALL
        SELECT name, '', g.* FROM relation, aclexplode(relacl) AS g
        UNION ALL
        SELECT name, ' (' || a.attname || ')', g.*
        FROM relation JOIN pg_catalog.pg_attribute AS a ON a.attrelid = relation.oid, aclexplode(a.attacl) AS g
        UNION ALL
        SELECT space.nspname || '.' || f.proname || '(' || pg_get_function_identity_arguments(f.oid) || ')', '', g.*
        FROM pg_catalog.pg_proc AS f JOIN space ON space.oid = f.pronamespace,
             aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS g
    ) AS granted
    WHERE pg_get_userbyid(grantee) <> 'koinon_owner' OR grantee = 0
    GROUP BY object, part, grantee
)
SELECT text FROM line ORDER BY object COLLATE "C", rank, text COLLATE "C"
"""  # noqa: E501


async def catalogue(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    """All schemas but PostgreSQL's own and `public`, as lines: tables, columns, constraints, indexes, triggers,
    types, functions, grants. Equal databases give equal text."""
    rows = await connection.fetch(_LINES)
    return "".join(f"{row['text']}\n" for row in rows)


async def _print(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        sys.stdout.write(await catalogue(connection))
    finally:
        await connection.close()


if __name__ == "__main__":
    asyncio.run(_print(sys.argv[1]))
