"""Segment Anything (Kirillov et al. 2023)."""
