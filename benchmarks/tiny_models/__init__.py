"""Retrain the embedded models: `python -m tiny_models --help` in `benchmarks/`."""

from ovsskit.torchvision_names import declare_torchvision

declare_torchvision()  # before transformers is imported by any module here
