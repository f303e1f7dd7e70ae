"""Names of the archive's objects. They alone tell institution, study, series and revision."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PACK, _METADATA, _INDEX = ".zip", ".metadata.json.gz", ".index.json.gz"
_REVISION_KEY = re.compile(
    r"archive/(?P<code>[^/]+)/(?P<study>[0-9.]+)/(?P<series>[0-9.]+)"
    r"/(?P<number>[0-9]{6,})-(?P<digest>[0-9a-f]{16})"
    r"(?P<suffix>\.zip|\.metadata\.json\.gz|\.index\.json\.gz)"
)

_CERTIFICATE_KEY = re.compile(
    r"archive/(?P<code>[^/]+)/(?P<study>[0-9.]+)/certificate-(?P<number>[0-9]{6,})\.json"
)

_MARK_KEY = re.compile(r"archive/(?P<code>[^/]+)/(?P<study>[0-9.]+)/(?P<kind>deletion|hold)\.json")


@dataclass(frozen=True)
class CertificateKey:
    """What the key of a completeness certificate says."""

    institution_code: str
    study_instance_uid: str
    number: int


@dataclass(frozen=True)
class MarkKey:
    """What the key of a deletion or of a legal hold says; ``kind`` is ``deletion`` or ``hold``."""

    institution_code: str
    study_instance_uid: str
    kind: str


@dataclass(frozen=True)
class RevisionKey:
    """What the key of a pack or of one of its documents says."""

    institution_code: str
    study_instance_uid: str
    series_instance_uid: str
    number: int
    digest_start: str
    suffix: str

    @property
    def is_pack(self) -> bool:
        return self.suffix == _PACK

    @property
    def is_index(self) -> bool:
        return self.suffix == _INDEX

    @property
    def prefix(self) -> str:
        """What the revision's three objects have in common."""
        return (
            f"archive/{self.institution_code}/{self.study_instance_uid}"
            f"/{self.series_instance_uid}/{self.number:06d}-{self.digest_start}"
        )


def revision_prefix(
    *,
    institution_code: str,
    study_instance_uid: str,
    series_instance_uid: str,
    number: int,
    pack_digest: str,
) -> str:
    """What the keys of one series revision start with; other bytes never get the same."""
    return (
        f"archive/{institution_code}/{study_instance_uid}/{series_instance_uid}"
        f"/{number:06d}-{pack_digest[:16]}"
    )


def pack_key(prefix: str) -> str:
    """The ZIP with the instances."""
    return prefix + _PACK


def metadata_key(prefix: str) -> str:
    """What ``/metadata`` of the series answers."""
    return prefix + _METADATA


def index_key(prefix: str) -> str:
    """Where each instance and frame lies in the pack."""
    return prefix + _INDEX


def certificate_key(institution_code: str, study_instance_uid: str, number: int) -> str:
    """The study's completeness certificate of that number."""
    return f"archive/{institution_code}/{study_instance_uid}/certificate-{number:06d}.json"


def quarantine_key(institution_code: str, sha256: str) -> str:
    """Bytes that could not be archived, as they came."""
    return f"quarantine/{institution_code}/{sha256}.dcm"


def incoming_key(institution_code: str, name: str) -> str:
    """The instances of one store request, until their series are packed (ADR 0015)."""
    return f"incoming/{institution_code}/{name}.zip"


def deletion_key(institution_code: str, study_instance_uid: str) -> str:
    """That a study was deleted: whoever rebuilds the index must not bring it back (ADR 0016)."""
    return f"archive/{institution_code}/{study_instance_uid}/deletion.json"


def hold_key(institution_code: str, study_instance_uid: str) -> str:
    """That a study is under legal hold."""
    return f"archive/{institution_code}/{study_instance_uid}/hold.json"


def study_prefix(institution_code: str, study_instance_uid: str) -> str:
    """What the keys of all objects of a study start with."""
    return f"archive/{institution_code}/{study_instance_uid}/"


def institution_key(institution_code: str) -> str:
    """What the archive itself knows of an institution, so that an index can be rebuilt."""
    return f"institutions/{institution_code}.json"


def parse_revision_key(key: str) -> RevisionKey | None:
    """What the key says, or nothing when it names no pack, metadata or index of a revision."""
    match = _REVISION_KEY.fullmatch(key)
    if match is None:
        return None
    return RevisionKey(
        institution_code=match["code"],
        study_instance_uid=match["study"],
        series_instance_uid=match["series"],
        number=int(match["number"]),
        digest_start=match["digest"],
        suffix=match["suffix"],
    )


def parse_certificate_key(key: str) -> CertificateKey | None:
    """What the key says, or nothing when it names no certificate."""
    match = _CERTIFICATE_KEY.fullmatch(key)
    if match is None:
        return None
    return CertificateKey(match["code"], match["study"], int(match["number"]))


def parse_mark_key(key: str) -> MarkKey | None:
    """What the key says, or nothing when it names neither a deletion nor a legal hold."""
    match = _MARK_KEY.fullmatch(key)
    return MarkKey(match["code"], match["study"], match["kind"]) if match else None
