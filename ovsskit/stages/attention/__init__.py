"""Choose what the patches of an image encoder look at, instead of what its last blocks were trained to look at.

[`self_similarity`](#self_similarity) compares tokens and [`self_attention`](#self_attention) makes weights of that;
[`attend`](#attend) gathers values with them. No stage here runs the network before its last blocks, so that a study over
them runs it once.
"""
