"""Does the mask follow the text? Probes, measures and report, through an adapter for any model."""
