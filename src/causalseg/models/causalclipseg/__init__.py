"""CausalCLIPSeg (Chen et al., MICCAI 2024)."""
