"""Stages that turn classes into sentences."""
