"""The index, the shared archive's revisions, and the work of filling it.

Instances have no row: their facts live in the documents beside each pack (DESIGN section 3).
"""

from sharing.models.archive import Certificate, Quarantined, SeriesRevision
from sharing.models.index import Series, Study
from sharing.models.received import Deletion, IncomingPack, LegalHold, ReceivedInstance
from sharing.models.work import DiscoveryWindow, Transfer

__all__ = [
    "Certificate",
    "Deletion",
    "DiscoveryWindow",
    "IncomingPack",
    "LegalHold",
    "Quarantined",
    "ReceivedInstance",
    "Series",
    "SeriesRevision",
    "Study",
    "Transfer",
]
