"""Let scores spread over a graph of patches, across all windows of an image.

Inside windows ([`window_nodes`](wrap.md#window_nodes)) patches become nodes
([`patch_nodes`](#patch_nodes)). They are tied and solved for together
([`patch_graph`](#patch_graph)), and become maps again ([`paste_nodes`](#paste_nodes)). The same
among pixels is [`pixel_graph`](refine.md#pixel_graph).
"""
