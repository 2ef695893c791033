"""Stages that run a network."""
