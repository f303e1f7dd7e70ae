"""Documents that are kept as they are and whose text is found."""
