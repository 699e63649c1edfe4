"""Scores that papers and repositories claim, for `causalseg forensics` and the results pages."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One published row, in percent."""

    data: str
    method: str
    dice: float
    iou: float
    note: str


TABLE_1 = "CausalCLIPSeg's Table 1, copied from LViT's"

LEADERBOARD = (
    Published("QaTa-COV19", "U-Net", 79.02, 69.46, TABLE_1),
    Published("QaTa-COV19", "UNet++", 79.62, 70.25, TABLE_1),
    Published("QaTa-COV19", "Attention U-Net", 79.31, 70.04, TABLE_1),
    Published("QaTa-COV19", "nnU-Net", 80.42, 70.81, TABLE_1),
    Published("QaTa-COV19", "TransUNet", 78.63, 69.13, TABLE_1),
    Published("QaTa-COV19", "Swin-Unet", 78.07, 68.34, TABLE_1),
    Published("QaTa-COV19", "UCTransNet", 79.15, 69.60, TABLE_1),
    Published("QaTa-COV19", "ConVIRT", 79.72, 70.58, TABLE_1),
    Published("QaTa-COV19", "TGANet", 79.87, 70.75, TABLE_1),
    Published("QaTa-COV19", "GLoRIA", 79.94, 70.68, TABLE_1),
    Published("QaTa-COV19", "ViLT", 79.63, 70.12, TABLE_1),
    Published("QaTa-COV19", "LAVT", 79.28, 69.89, TABLE_1),
    Published("QaTa-COV19", "LViT", 83.66, 75.11, f"{TABLE_1}; re-runs by others 81.76 to 83.03"),
    Published("QaTa-COV19", "CausalCLIPSeg", 85.21, 76.90, "claimed; never reproduced in public"),
    Published("QaTa-COV19", "RecLMIS", 85.22, 77.00, "claimed; re-run 83.69 +- 0.38"),
    Published("QaTa-COV19", "C2Seg", 85.25, 76.97, "claimed, no code"),
    Published("QaTa-COV19", "SwinTextUNet", 86.47, 78.2, "preprint; highest claim found"),
    Published("QaTa-COV19", "DD-CMD", 84.75, 76.30, "audited re-run, 1 seed"),
    Published("QaTa-COV19", "BetterLViT", 84.71, 76.23, "audited re-run, 3 seeds"),
    Published("QaTa-COV19", "MMI-UNet", 83.97, 75.48, "own checkpoint, macro (micro: 90.88)"),
    Published("QaTa-COV19", "CausalCLIPSeg, plain", 82.50, 73.24, "Table 2: no CLIP, no causality"),
    Published("QaTa-COV19", "CausalCLIPSeg, causal", 83.61, 74.86, "Table 2: causal, no CLIP"),
    Published("QaTa-COV19", "CausalCLIPSeg, CLIP", 83.71, 74.69, "Table 2: CLIP, no causality"),
    Published("MoNuSeg", "U-Net", 76.45, 62.86, "14 test images"),
    Published("MoNuSeg", "LViT", 80.36, 67.31, "14 test images"),
)
"""Claims and re-runs read from papers and repositories up to November 2026.

Table 1's rows but the last are LViT's: single numbers without spread, from one group's code. For
the text-guided systems other than LViT no code was published.
"""
