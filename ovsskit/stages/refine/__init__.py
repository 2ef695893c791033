"""Stages that refine maps by the picture."""
