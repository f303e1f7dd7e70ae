"""Fixtures of the stories: a province, its archive, hospitals that misbehave."""

from tests.support.ohif import ohif_build, tab
from tests.support.pulling import archive, hospital, make_hospital

__all__ = ["archive", "hospital", "make_hospital", "ohif_build", "tab"]
