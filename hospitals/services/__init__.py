"""Every write about members of the province, and the way to their archives."""

from hospitals.services.circuits import record_origin_failure, record_origin_success
from hospitals.services.origins import open_origin

__all__ = ["open_origin", "record_origin_failure", "record_origin_success"]
