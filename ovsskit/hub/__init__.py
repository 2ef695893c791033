"""Weights: where they are, and how they are fetched."""
