"""The index, the shared archive's revisions, and the work of filling it.

Instances have no row: their facts live in the documents beside each pack (DESIGN section 3).
"""

from sharing.models.access import Consent, EmergencyAccess, Encounter
from sharing.models.archive import Certificate, Quarantined, SeriesRevision
from sharing.models.charsets import CharsetRepair, CharsetRepairItem
from sharing.models.consultation import (
    Consultation,
    ConsultationEntry,
    ConsultationOpinion,
    ConsultationSeen,
    ConsultationStudy,
)
from sharing.models.film import FilmSlip, FilmSlipStudy, PatientNotice
from sharing.models.index import Series, Study
from sharing.models.launches import Launch, LaunchSystem
from sharing.models.messages import HospitalMessage, MessageSender
from sharing.models.orders import Order
from sharing.models.patients import LinkCandidate, LinkEvent, LocalPatient, Person
from sharing.models.portal import RecentPatient, SavedSearch
from sharing.models.received import Deletion, IncomingPack, LegalHold, ReceivedInstance
from sharing.models.reports import Report, ReportVersion
from sharing.models.unusual import AccessFinding, ReviewPosition
from sharing.models.work import DiscoveryWindow, Transfer

__all__ = [
    "AccessFinding",
    "Certificate",
    "CharsetRepair",
    "CharsetRepairItem",
    "Consent",
    "Consultation",
    "ConsultationEntry",
    "ConsultationOpinion",
    "ConsultationSeen",
    "ConsultationStudy",
    "Deletion",
    "DiscoveryWindow",
    "EmergencyAccess",
    "Encounter",
    "FilmSlip",
    "FilmSlipStudy",
    "HospitalMessage",
    "IncomingPack",
    "Launch",
    "LaunchSystem",
    "LegalHold",
    "LinkCandidate",
    "LinkEvent",
    "LocalPatient",
    "MessageSender",
    "Order",
    "PatientNotice",
    "Person",
    "Quarantined",
    "ReceivedInstance",
    "RecentPatient",
    "Report",
    "ReportVersion",
    "ReviewPosition",
    "SavedSearch",
    "Series",
    "SeriesRevision",
    "Study",
    "Transfer",
]
