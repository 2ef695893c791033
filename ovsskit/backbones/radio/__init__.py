"""RADIO: one network that was taught by several, and its heads into the spaces of its teachers."""
