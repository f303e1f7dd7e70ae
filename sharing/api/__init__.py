"""REST of sharing: what the portal does, for programs."""
