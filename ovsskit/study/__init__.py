"""Search the parameters of any recipe, by a reward without masks or by a metric with masks.

`spec` reads and checks what a person writes, `search` hands out trials to workers and judges their
recipes, `report` writes the results, and `study` is the whole of `ovsskit study`.
"""
