"""Stages that say which classes a picture shows."""
