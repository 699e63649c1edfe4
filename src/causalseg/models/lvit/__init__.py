"""LViT (Li et al., IEEE TMI 2024)."""
