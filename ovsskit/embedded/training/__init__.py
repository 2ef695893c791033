"""Retrain the embedded models: `python -m ovsskit.embedded.training --help`."""
