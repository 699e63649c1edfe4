"""Training with Lightning; knows no model by name."""
