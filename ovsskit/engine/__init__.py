"""Run a chain of stages: values, slots, stages, wrappers, backbones.

Nothing here knows TOML, the command line, or a shipped stage.
"""
