"""Build a bank: what classes look like to a model, learned from images without labels."""
