"""One module for each file that can be written for an image; each declares one ``format``."""
