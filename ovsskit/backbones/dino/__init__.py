"""DINO, DINOv2, and what finds the foreground by them."""
