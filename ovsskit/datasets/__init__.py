"""Data sets with true masks: what they are, where their files lie, and how truth is read."""
