"""How faithful maps of each size are, and whether what FG-CAM's paper claims holds here."""
