"""A local page on which to play with recipes."""
