"""The simulated KSZ / BCSS network of social security, with its reference directory."""
