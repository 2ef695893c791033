"""Run rasters that lie somewhere on earth, or are too large for memory, window by window."""
