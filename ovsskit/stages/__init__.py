"""The stages, one to a file, in folders by family; the file's name is the stage's name in recipes."""
