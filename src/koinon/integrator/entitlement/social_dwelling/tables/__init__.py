"""The two questions about a social dwelling as table flows: for one person and for a million.

The input tables are what the sources deliver in bulk. `application` drives: one row for each subject. A row that is
not there, and a null, are both unknown; a register that lists what exists and answered with nothing is written as
what that means (`holds` false, `application` an empty text). Where a number was replaced, `subject` is the number
that was asked in every table, and the subject's own row of a table of members carries that number as `member` too.
"""

from koinon.integrator.entitlement.social_dwelling.tables.admission import build_admission
from koinon.integrator.entitlement.social_dwelling.tables.inputs import (
    ADMISSION_INPUTS,
    ADMISSION_STACK,
    RENT_INPUTS,
    RENT_STACK,
)
from koinon.integrator.entitlement.social_dwelling.tables.rent import build_rent
from koinon.integrator.processing import TableFlow

ADMISSION_TABLES = TableFlow(
    name="social-dwelling-admission", inputs=ADMISSION_INPUTS, stack=ADMISSION_STACK, build=build_admission
)
RENT_TABLES = TableFlow(name="social-dwelling-rent", inputs=RENT_INPUTS, stack=RENT_STACK, build=build_rent)

__all__ = ["ADMISSION_INPUTS", "ADMISSION_TABLES", "RENT_INPUTS", "RENT_TABLES"]
