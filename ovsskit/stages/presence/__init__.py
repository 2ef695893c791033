"""Stages that say which classes an image shows."""
