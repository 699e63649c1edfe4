"""Does the mask follow the text? Probes, measures and report, for any model by an adapter."""
