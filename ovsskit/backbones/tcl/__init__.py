"""TCL: CLIP with a grounder that was trained on captions."""
