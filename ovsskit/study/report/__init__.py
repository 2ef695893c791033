"""What a study tells: the page, charts, the best recipe, comparisons."""
