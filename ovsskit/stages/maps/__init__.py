"""Stages that turn maps into maps, and maps into labels."""
