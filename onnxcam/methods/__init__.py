"""The CAM family: one formula of arrays per paper, found by name in a registry."""
