"""Teach a small, fast network what a recipe finds in unlabelled images."""
