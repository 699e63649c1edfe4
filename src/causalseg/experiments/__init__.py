"""Experiments: cells of a grid, each trained, scored and compared, and studies of one model."""
