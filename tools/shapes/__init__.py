"""The known-truth shapes set: one drawn shape on clutter decides the class, and its pixels are known."""
