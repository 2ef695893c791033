"""Models that stages read through their capabilities: one file each, named as recipes name them."""
