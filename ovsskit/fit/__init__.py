"""Image-free tuning: a model learns a list of classes from artificial images that are made of the class words."""
