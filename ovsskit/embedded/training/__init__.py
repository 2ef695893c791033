"""Retrain the embedded models: `python -m ovsskit.embedded.training --help`."""

from ovsskit.torchvision_names import declare_torchvision

declare_torchvision()  # before transformers is imported by any module here
