"""Names of synthetic persons. Every family name starts with `Test-`, so that nobody takes it for a real
person's.
"""

MARK = "Test-"

_FIRST = (
    "Bra",
    "Del",
    "Kar",
    "Lom",
    "Mer",
    "Nov",
    "Pol",
    "Rav",
    "Sel",
    "Tor",
    "Var",
    "Wil",
    "Zan",
    "Fal",
    "Gor",
    "Hal",
)
_SECOND = ("a", "e", "i", "o", "u", "an", "en", "in", "on", "ar", "er", "or")
_THIRD = (
    "beck",
    "din",
    "fort",
    "gem",
    "lin",
    "mans",
    "net",
    "pel",
    "ric",
    "sen",
    "tier",
    "vel",
    "wick",
    "zet",
)

FAMILY_NAMES = tuple(f"{MARK}{a}{b}{c}" for a in _FIRST for b in _SECOND for c in _THIRD)

FEMALE = (
    "Anna", "Marie", "Fatima", "Sofia", "Emma", "Lina", "Nora", "Sarah", "Julie", "Louise", "Eva", "Amina", "Elena",
    "Ines", "Katrien", "Nadia", "Olivia", "Rania", "Saskia", "Yasmina", "Charlotte", "Danielle", "Hilde", "Isabelle",
)  # fmt: skip
MALE = (
    "Jan", "Mohamed", "Lucas", "Adam", "Pierre", "Thomas", "Youssef", "David", "Louis", "Karim", "Arthur", "Marc",
    "Ali", "Noah", "Stefan", "Victor", "Bilal", "Emile", "Hugo", "Ibrahim", "Koen", "Rachid", "Simon", "Wout",
)  # fmt: skip
