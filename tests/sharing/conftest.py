"""Fixtures of the services: a province, its archive, hospitals that misbehave."""

from tests.support.pulling import archive, hospital, make_hospital

__all__ = ["archive", "hospital", "make_hospital"]
