"""Pages of oversight: the Commission's console, the signing of acts, the public register."""

from koinon.trust.oversight.web import acts, complaints, console, members, register, rules
from koinon.trust.oversight.web.words import problems

handlers = [
    *register.handlers,
    *console.handlers,
    *acts.handlers,
    *complaints.handlers,
    *members.handlers,
    *rules.handlers,
]
navigation = [
    *register.navigation,
    *console.navigation,
    *complaints.navigation,
    *members.navigation,
    *rules.navigation,
]

__all__ = ["handlers", "navigation", "problems"]
