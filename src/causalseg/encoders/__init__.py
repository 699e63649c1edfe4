"""CLIP's image and text towers, and the weights they start from."""
