"""Broken files for every reader, by kind: what `fuzz.py` feeds."""
