"""How good a model's masks are: metrics and protocols."""
