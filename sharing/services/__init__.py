"""Verbs of sharing: every write, one transaction each. Import the module that names the subject."""
