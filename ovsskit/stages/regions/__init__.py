"""Cut an image into regions, whatever they show, and let them decide together.

A proposer makes masks ([`propose_masks`](#propose_masks)), which [`paint_regions`](#paint_regions)
puts over each other; or [`regions_from_files`](#regions_from_files) reads them. Then
[`region_vote`](#region_vote) serves any recipe.
"""
