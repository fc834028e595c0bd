"""What is explained of each sample: kinds of targets, their written forms, and a batch of them."""
