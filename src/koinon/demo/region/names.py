"""Codes and numbers by which the demo region is known elsewhere."""

PASSWORD = "koinon demo region"  # noqa: S105 - the one password of all demo accounts, told at every start
PURPOSE = "social_dwelling_admission"
FLOW = "social-dwelling-admission"
AUTHORISATION = "2026/001"
CONTRACTORS = "2026/002"
PSEUDONYMS = "2026/009"
CONTRACTOR_FLOW = "contractor-check"
CONTRACTOR_PURPOSE = "works_contract"
NORTH = "housing-north"
SOUTH = "housing-south"
