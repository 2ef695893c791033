"""Hold the stages, one per file, in folders by family; a file's name is its name in recipes."""
