"""U-Net, UNet++, Attention U-Net and nnU-Net: networks that read the image alone."""
