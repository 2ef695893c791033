"""Evaluate recipes on data sets with true masks."""
