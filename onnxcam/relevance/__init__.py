"""Backward passes that propagate something else than the gradient: relevance (LRP), guided gradients, DeepLIFT."""
