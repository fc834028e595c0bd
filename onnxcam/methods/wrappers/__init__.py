"""Wrappers, which use the maps of any method: one file each, found by name in the registry."""
