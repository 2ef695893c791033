"""Stages that turn classes into sentences, and these into vectors."""
