"""Compare two finished runs of the same images: numbers of pixels, and a page to look at."""
