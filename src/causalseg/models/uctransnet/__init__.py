"""UCTransNet (Wang et al., AAAI 2022)."""
