"""Turn the masks of a finished run into what other tools read."""
