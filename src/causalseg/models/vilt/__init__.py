"""ViLT (Kim et al., ICML 2021) as a segmenter."""
