"""TIPSv2: patches, images and texts in one space."""
