"""Measure what recipes' methods are published to reach, and compare."""
