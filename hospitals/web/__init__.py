"""Pages about the members of the province."""
