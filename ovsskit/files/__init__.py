"""Files on disk: read with care, written whole, and only where they are ours."""
