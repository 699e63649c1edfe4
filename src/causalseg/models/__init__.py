"""Segmentation models. Knows nothing of data sets, training or files of images."""
