"""One module a command; its object ``command`` is what runs."""
