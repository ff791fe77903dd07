"""Shared video surveillance: recorded, watched, looked back at and forgotten under the convention."""
