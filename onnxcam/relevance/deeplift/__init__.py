"""DeepLIFT: a second forward pass at a baseline, and rules that attribute how the score differs there."""
