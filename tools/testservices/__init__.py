"""Services for the tests; started by ``tools/services``."""
