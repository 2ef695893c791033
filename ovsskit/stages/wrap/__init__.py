"""Wrappers: stages that run an inner chain several times."""
