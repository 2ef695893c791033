"""SAM 3: a network that was trained to find any noun phrase in images."""
