"""Models that match an image with a text: ALBEF, BLIP, BridgeTower, mPLUG."""
