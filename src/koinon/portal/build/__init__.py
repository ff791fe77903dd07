"""`python -m koinon.portal.build`: makes the assets and the translations, and checks both.

Imports nothing of `koinon`, so that the wheel's build hook can run it before the package is installed.
"""
