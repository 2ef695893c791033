"""Vision transformers that segment a fixed list of classes by a linear head over their patches."""
