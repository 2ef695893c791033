"""Choose words for classes by unlabelled images."""
