"""SegFormer: small, fast networks that segment a fixed list of classes."""
