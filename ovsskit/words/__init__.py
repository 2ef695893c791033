"""Audit the words of classes by images without labels."""
