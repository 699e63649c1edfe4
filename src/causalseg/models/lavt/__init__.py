"""LAVT (Yang et al., CVPR 2022)."""
