"""Stages that refine maps by the image."""
