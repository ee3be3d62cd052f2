"""BiRefNet (Zheng et al. 2024) in two sizes, under the official parameter names."""

from anymask.networks.birefnet.birefnet import BiRefNet, build, matte

__all__ = ["BiRefNet", "build", "matte"]
