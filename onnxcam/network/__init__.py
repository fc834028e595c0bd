"""A model file made ready to be explained: loaded, canonical, fed and run."""
