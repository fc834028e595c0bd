"""Whether a map is only what is left where its terms cancel: the method is asked again with changed numbers."""
