"""The simulated Rijksregister / Registre national."""
