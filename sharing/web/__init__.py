"""Pages of the portal, the studies and the operation."""
