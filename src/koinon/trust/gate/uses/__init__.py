"""Uses that last: registered before they are recorded, renewed, and cut or ended."""

from koinon.trust.gate.uses.running import RENEW_AFTER, Uses, reap
from koinon.trust.gate.uses.use import BEGIN_AGAIN, Cut, Use

__all__ = ["BEGIN_AGAIN", "RENEW_AFTER", "Cut", "Use", "Uses", "reap"]
