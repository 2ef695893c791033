"""Run a plan over many images, and write what it finds."""
