"""From a method and a network to raw maps: what to read, the view that a method gets, sizes of maps."""
