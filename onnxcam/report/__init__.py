"""Maps as pictures and files: colours, overlays, sheets, and the formats of output."""
