"""Choose the sentences of classes by unlabelled images."""
