"""The index, the shared archive's revisions, and the work of filling it.

Instances have no row: their facts live in the documents beside each pack (DESIGN section 3).
"""

from sharing.models.access import Consent, EmergencyAccess, Encounter
from sharing.models.archive import Certificate, Quarantined, SeriesRevision
from sharing.models.index import Series, Study
from sharing.models.patients import LinkCandidate, LinkEvent, LocalPatient, Person
from sharing.models.received import Deletion, IncomingPack, LegalHold, ReceivedInstance
from sharing.models.work import DiscoveryWindow, Transfer

__all__ = [
    "Certificate",
    "Consent",
    "Deletion",
    "DiscoveryWindow",
    "EmergencyAccess",
    "Encounter",
    "IncomingPack",
    "LegalHold",
    "LinkCandidate",
    "LinkEvent",
    "LocalPatient",
    "Person",
    "Quarantined",
    "ReceivedInstance",
    "Series",
    "SeriesRevision",
    "Study",
    "Transfer",
]
