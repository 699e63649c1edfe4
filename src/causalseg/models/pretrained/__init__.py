"""ConVIRT (Zhang et al., MLHC 2022) and GLoRIA (Huang et al., ICCV 2021) as segmenters."""
