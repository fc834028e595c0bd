"""Activations, normalisations and softmax as files write them out in several operators: recognised, or put in order."""
