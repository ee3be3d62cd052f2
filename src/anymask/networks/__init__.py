"""PyTorch definitions of the networks, one file per network. They import torch and nothing of the package."""
