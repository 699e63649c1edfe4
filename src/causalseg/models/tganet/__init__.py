"""TGANet (Tomar et al., MICCAI 2022)."""
