"""DynUNet: MONAI's re-implementation of nnU-Net's network (Isensee et al., 2021)."""
