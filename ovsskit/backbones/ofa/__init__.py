"""OFA with the segmentation head of IFSeg."""
