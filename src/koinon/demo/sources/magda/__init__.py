"""The simulated Flemish integrator, MAGDA: GeefPersoon 02.02 and GeefOnderneming 02.00 about synthetic persons."""
