"""Store Transaction (STOW-RS, PS3.18 §10.5): what a sender stores, durable when it is answered."""

from sharing.services.storing.outcome import Failure, Outcome
from sharing.services.storing.request import StoreRequest, open_request

__all__ = ["Failure", "Outcome", "StoreRequest", "open_request"]
