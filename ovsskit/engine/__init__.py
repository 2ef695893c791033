"""Run a chain of stages: values, slots, stages, wrappers, backbones; no TOML, no command line, no shipped stage."""
