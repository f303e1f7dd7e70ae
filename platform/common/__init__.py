"""Infrastructure that knows none of the modules above it."""
