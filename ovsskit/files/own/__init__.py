"""Folders of ours: what marks them, and how they are locked, written and left."""
