"""Models that propose masks of what an image shows, whatever it is."""
