"""Teach a small, fast network what a recipe finds in images without labels."""
