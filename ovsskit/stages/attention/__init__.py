"""Change what an image encoder's last blocks attend to.

[`self_similarity`](#self_similarity) compares tokens and [`self_attention`](#self_attention) makes
weights of that; [`attend`](#attend) gathers values with them. No stage here runs the network before
its last blocks, so that a study over them runs it once.
"""
