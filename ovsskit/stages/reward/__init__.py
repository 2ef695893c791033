"""Stages that say how good a result is without a look at true masks, for studies to make better."""
