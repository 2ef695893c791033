"""Search a table of a recipe's settings, judged once by all rewards and by the true masks."""
