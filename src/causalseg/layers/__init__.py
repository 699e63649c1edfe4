"""Layers that no library this package depends on provides."""
