"""GroupViT: an image encoder that groups patches by what they show."""
