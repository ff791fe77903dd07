"""Pages of the integrator: consult, and the reference directory of one's own party."""

from koinon.integrator.web import consult, dossiers
from koinon.integrator.web.words import problems

handlers = [*consult.handlers, *dossiers.handlers]
navigation = [*consult.navigation, *dossiers.navigation]

__all__ = ["handlers", "navigation", "problems"]
