"""Ways of using any method: one file each, found by name in the registry."""
