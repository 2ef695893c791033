"""Tune without images: a model learns classes from artificial images made of class words."""
