"""Swin-Unet (Cao et al., ECCV 2022 Workshops)."""
