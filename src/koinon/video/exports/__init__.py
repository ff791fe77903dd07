"""Exports: recordings that leave as a file, with whom and why burned in, and papers that anybody can check.

Nothing is imported here: `koinon video verify-export` needs neither the platform nor its web framework.
"""
