"""CLIP and its text encoder."""
