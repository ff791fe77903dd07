"""The simulated KBO / BCE, the register of enterprises."""
