"""DeepLab v2 on a dilated ResNet, whose classifier may be the vectors of texts: MaskCLIP+."""
