"""The version of the package, in the one file that holds it."""

__version__ = "0.1.0"
