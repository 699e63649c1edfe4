"""CausalCLIPSeg (Chen et al., MICCAI 2024), in the order of the paper.

`decoder` is Eq. 1, `masker` and `fusion` are Eq. 2 and what follows it, `objective` is Eq. 3 and 4,
and `model` puts them together. `fast` does the same in another order; you need not read it.
"""
