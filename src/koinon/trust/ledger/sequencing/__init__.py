"""Numbering and publishing: one leased process."""
