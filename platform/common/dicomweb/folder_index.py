"""What lies in a folder of DICOM files, known without opening a file twice.

A scan costs one stat per file; only new and changed files are read. What is known is kept in the process and,
where a cache directory is given, in one file there: never in the hospital's folder, which is only read.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from stat import S_ISREG
from typing import Any

from common.dicom.errors import MalformedDicom
from common.dicom.part10 import Instance, read_instance
from common.dicomweb.errors import OriginUnreachable
from common.dicomweb.origin import DicomJson, first_value

CACHE_FORMAT = 1
MEDIA_DIRECTORY = (
    b"1.2.840.10008.1.3.10"  # Media Storage Directory Storage: a DICOMDIR by whatever name
)
JUNK_NAMES = frozenset({"thumbs.db", "desktop.ini", "dicomdir"})

STUDY_TAGS = (
    "00080020", "00080030", "00080050", "00080090", "00081030", "00100010", "00100020", "00100021",
    "00100030", "00100040", "0020000D", "00200010",
)  # fmt: skip
SERIES_TAGS = (
    "00080021", "00080031", "00080060", "0008103E", "00180015", "0020000D", "0020000E", "00200011",
)  # fmt: skip


@dataclass(frozen=True)
class IndexedFile:
    """One file as it was when it was last read. ``fault`` says why it cannot be delivered."""

    mtime_ns: int
    size_bytes: int
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    sop_instance_uid: str = ""
    sop_class_uid: str = ""
    transfer_syntax_uid: str = ""
    instance_number: str = ""
    fault: str = ""
    skipped: bool = False


@dataclass
class _Known:
    files: dict[str, IndexedFile] = field(default_factory=dict)
    studies: dict[str, DicomJson] = field(default_factory=dict)
    series: dict[str, DicomJson] = field(default_factory=dict)


class FolderIndex:
    """The index over one folder; shared by all threads of the process."""

    def __init__(
        self, folder: Path, *, cache_dir: Path | None, character_set: str, settle_s: float
    ) -> None:
        self.folder = Path(os.path.realpath(folder))
        self._character_set = character_set
        self._settle_s = settle_s
        self._cache = _cache_path(cache_dir, self.folder, character_set)
        self._lock = threading.RLock()
        self._known = self._load()
        self._scanned_at: float | None = None
        self._by_series: dict[tuple[str, str], list[str]] = {}
        self._unreadable: list[tuple[str, str]] = []

    def refresh(self, *, max_age_s: float) -> None:
        """Look again, unless the last look is younger.

        Raises:
            OriginUnreachable: the folder is not there or may not be listed; what is known stays known.
        """
        with self._lock:
            now = time.monotonic()
            if self._scanned_at is not None and now - self._scanned_at < max_age_s:
                return
            self._scan()
            self._scanned_at = time.monotonic()

    def studies(self) -> list[DicomJson]:
        """All studies with their counts, by date and UID, so that paging is stable."""
        with self._lock:
            members: dict[str, list[str]] = {}
            for study, series in self._by_series:
                members.setdefault(study, []).append(series)
            found = [self._study(study, series) for study, series in members.items()]
        return sorted(found, key=_date_and_uid)

    def series(self, study_instance_uid: str) -> list[DicomJson]:
        """The series of a study with their counts."""
        with self._lock:
            wanted = sorted(key for key in self._by_series if key[0] == study_instance_uid)
            return [
                self._known.series[series]
                | {"0020000D": _ui(study), "00201209": _count(self._sops(study, series))}
                for study, series in wanted
            ]

    def files(
        self, study_instance_uid: str, series_instance_uid: str
    ) -> list[tuple[Path, IndexedFile]]:
        """Every file of a series, also those that share a SOP Instance UID."""
        with self._lock:
            names = self._by_series.get((study_instance_uid, series_instance_uid), [])
            return [(self.folder / name, self._known.files[name]) for name in names]

    def broken(self) -> list[tuple[str, str]]:
        """Files that cannot be delivered, by their path in the folder, each with the reason."""
        with self._lock:
            faults = [
                (name, known.fault) for name, known in self._known.files.items() if known.fault
            ]
            return sorted((_printable(name), fault) for name, fault in faults + self._unreadable)

    def _study(self, study: str, series: list[str]) -> DicomJson:
        modalities = {first_value(self._known.series[one], "00080060") for one in series}
        sops = set().union(*(self._sops(study, one) for one in series))
        return self._known.studies[study] | {
            "00080061": {"vr": "CS", "Value": sorted(str(one) for one in modalities if one)},
            "00201206": {"vr": "IS", "Value": [len(series)]},
            "00201208": _count(sops),
        }

    def _sops(self, study: str, series: str) -> set[str]:
        names = self._by_series[study, series]
        return {self._known.files[name].sop_instance_uid for name in names}

    def _scan(self) -> None:
        before, now_ns = self._known.files, time.time_ns()
        settle_ns = int(self._settle_s * 1e9)
        files: dict[str, IndexedFile] = {}
        self._unreadable = []
        changed = False
        for name, stat in self._walk():
            known = before.get(name)
            if known and (known.mtime_ns, known.size_bytes) == (stat.st_mtime_ns, stat.st_size):
                files[name] = known
            elif abs(now_ns - stat.st_mtime_ns) >= settle_ns:
                files[name] = self._read(name, stat)
                changed = True
        self._known.files = files
        self._regroup()
        if changed or len(files) != len(before):
            self._save()

    def _walk(self) -> Iterator[tuple[str, os.stat_result]]:
        """Every regular file under the folder, by its path in it. Links that lead out of it are refused."""
        pending = [""]
        while pending:
            relative = pending.pop()
            try:
                entries = sorted(os.scandir(self.folder / relative), key=lambda entry: entry.name)
            except OSError as error:
                if not relative:
                    raise OriginUnreachable(
                        f"The hospital's folder cannot be listed: {error.strerror}."
                    ) from error
                self._unreadable.append((relative, f"cannot be listed: {error.strerror}"))
                continue
            for entry in entries:
                name = os.path.join(relative, entry.name)  # noqa: PTH118 - a million times per scan
                if entry.name.startswith(".") or entry.name.lower() in JUNK_NAMES:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name)
                elif (stat := self._stat(entry, name)) is not None:
                    yield name, stat

    def _stat(self, entry: os.DirEntry[str], name: str) -> os.stat_result | None:
        try:
            if entry.is_symlink():
                target = Path(os.path.realpath(entry.path))
                if not target.is_relative_to(self.folder):
                    self._unreadable.append((name, "is a link that leads out of the folder"))
                    return None
            # A link to nothing raises here; sockets, and links to folders within, are no files.
            stat = entry.stat()
            return stat if S_ISREG(stat.st_mode) else None
        except OSError as error:
            self._unreadable.append((name, f"cannot be read: {error.strerror}"))
            return None

    def _read(self, name: str, stat: os.stat_result) -> IndexedFile:
        empty = IndexedFile(stat.st_mtime_ns, stat.st_size)
        try:
            with (self.folder / name).open("rb") as file:
                start = file.read(1024)
                if MEDIA_DIRECTORY in start:
                    return replace(empty, skipped=True)
                found = read_instance(
                    file, offset=0, length=stat.st_size, character_set=self._character_set
                )
        except MalformedDicom as error:
            return replace(empty, fault=f"{error.reason}: {error.message}")
        except OSError as error:
            return replace(empty, fault=f"cannot be read: {error.strerror}")
        self._keep_attributes(found)
        return replace(
            empty,
            study_instance_uid=found.study_instance_uid,
            series_instance_uid=found.series_instance_uid,
            sop_instance_uid=found.sop_instance_uid,
            sop_class_uid=found.sop_class_uid,
            transfer_syntax_uid=found.transfer_syntax_uid,
            instance_number=str(first_value(found.attributes, "00200013") or ""),
        )

    def _keep_attributes(self, found: Instance) -> None:
        def of(tags: tuple[str, ...]) -> DicomJson:
            present = {tag: found.attributes[tag] for tag in tags if tag in found.attributes}
            return {"00080005": {"vr": "CS", "Value": ["ISO_IR 192"]}} | present

        self._known.studies[found.study_instance_uid] = of(STUDY_TAGS)
        self._known.series[found.series_instance_uid] = of(SERIES_TAGS)

    def _regroup(self) -> None:
        groups: dict[tuple[str, str], list[str]] = {}
        for name, known in sorted(self._known.files.items()):
            if known.sop_instance_uid:
                key = known.study_instance_uid, known.series_instance_uid
                groups.setdefault(key, []).append(name)
        self._by_series = groups
        studies, series = {key[0] for key in groups}, {key[1] for key in groups}
        kept = self._known
        kept.studies = {uid: one for uid, one in kept.studies.items() if uid in studies}
        kept.series = {uid: one for uid, one in kept.series.items() if uid in series}

    def _load(self) -> _Known:
        if self._cache is None:
            return _Known()
        try:
            kept = json.loads(self._cache.read_bytes())
            if kept["format"] != CACHE_FORMAT:
                return _Known()
            files = {name: IndexedFile(*values) for name, values in kept["files"].items()}
            return _Known(files, kept["studies"], kept["series"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return _Known()  # absent or damaged: read the folder anew

    def _save(self) -> None:
        if self._cache is None:
            return
        known = self._known
        document: dict[str, Any] = {
            "format": CACHE_FORMAT,
            "files": {name: list(asdict(one).values()) for name, one in known.files.items()},
            "studies": known.studies,
            "series": known.series,
        }
        self._cache.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = self._cache.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
        with os.fdopen(
            os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w"
        ) as out:
            json.dump(document, out)
        temporary.replace(self._cache)


def _cache_path(cache_dir: Path | None, folder: Path, character_set: str) -> Path | None:
    if cache_dir is None:
        return None
    if Path(os.path.realpath(cache_dir)).is_relative_to(folder):
        raise ValueError("the cache must not lie in the hospital's folder")
    digest = hashlib.sha256(os.fsencode(folder) + b"\0" + character_set.encode()).hexdigest()
    return cache_dir / f"{digest[:32]}.json"


def _ui(uid: str) -> dict[str, Any]:
    return {"vr": "UI", "Value": [uid]}


def _count(items: set[str]) -> dict[str, Any]:
    return {"vr": "IS", "Value": [len(items)]}


def _date_and_uid(study: DicomJson) -> tuple[str, str]:
    return str(first_value(study, "00080020") or ""), str(first_value(study, "0020000D"))


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")
