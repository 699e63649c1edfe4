"""Layers that are in no library this package depends on."""
