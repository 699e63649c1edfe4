"""MCDRL: multimodal causal-driven representation learning (Liang et al., CVPR 2026)."""
