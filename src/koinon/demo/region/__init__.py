"""The Brussels demo region: parties, persons, agreements, rules and dossiers, all marked *demo*.

Everything is made through the same services that operators, parties and commissioners use; nothing is written into
tables from the side. Keys that operators must not hold (of the Commission, of the Committee, of parties) are written to
`home/demo/keys`, which stands for the hands that hold them.
"""

from koinon.demo.region.keys import enterprise_number, key_path, load_key
from koinon.demo.region.names import (
    AUTHORISATION,
    CONTRACTOR_FLOW,
    CONTRACTOR_PURPOSE,
    FLOW,
    NORTH,
    PASSWORD,
    PURPOSE,
    SOUTH,
)
from koinon.demo.region.parties import PARTIES
from koinon.demo.region.seeding import Region, Seeder, is_seeded

__all__ = [
    "AUTHORISATION",
    "CONTRACTOR_FLOW",
    "CONTRACTOR_PURPOSE",
    "FLOW",
    "NORTH",
    "PARTIES",
    "PASSWORD",
    "PURPOSE",
    "SOUTH",
    "Region",
    "Seeder",
    "enterprise_number",
    "is_seeded",
    "key_path",
    "load_key",
]
