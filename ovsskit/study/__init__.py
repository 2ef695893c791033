"""Studies: search parameters of any recipe, by a reward that needs no masks or by a metric that does.

`tables` is what a person may write, `plan` checks it, `evaluate` judges one recipe, `turns` hands out trials to workers
over a `storage`, and `job` is the whole of `ovsskit study`.
"""
