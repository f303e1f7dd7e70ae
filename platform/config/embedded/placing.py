"""Where PostgreSQL may live: it refuses to run as root, and its unprivileged user cannot enter private homes.

No permission of a directory that already exists is ever changed; what cannot be reached is copied.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from config.embedded.binaries import POSTGRES_MAJOR, PostgresPrograms
from config.embedded.console import Refusal
from config.embedded.datadir import write_private

# In this order; /var/tmp may be cleaned by the system after weeks, so it comes last.
REACHABLE_PLACES = (Path("/var/lib"), Path("/var/tmp"))  # noqa: S108  # own 0700 directory
UNPRIVILEGED_USER = "nobody"


@dataclass(frozen=True)
class Owner:
    """Whom the server runs as; None: as the caller."""

    uid: int
    gid: int

    def popen_options(self) -> dict[str, object]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}


@dataclass(frozen=True)
class Place:
    """The directory of the cluster, its programs and its owner."""

    data: Path
    bin: Path
    owner: Owner | None


def find_owner() -> Owner | None:
    """The unprivileged user when this process is root.

    Raises:
        Refusal: this machine has no such user.
    """
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED_USER)
    except KeyError as error:
        raise Refusal(
            f"PostgreSQL does not run as root, and this machine has no user '{UNPRIVILEGED_USER}'. "
            "Run as an ordinary user, or set DATABASE_URL."
        ) from error
    return Owner(entry.pw_uid, entry.pw_gid)


def place(data_dir: Path, programs: PostgresPrograms) -> Place:
    """Decide, once for a data directory, where the cluster and its programs are.

    The decision is written to ``postgres-place`` and kept from then on.
    """
    owner = find_owner()
    if owner is None:
        return Place(data_dir / "postgres", programs.bin, None)
    home = _home(data_dir, owner)
    return Place(home / "postgres", _reachable_programs(home, programs, owner), owner)


def _home(data_dir: Path, owner: Owner) -> Path:
    note = data_dir / "postgres-place"
    if note.is_file():
        home = data_dir / note.read_text(encoding="utf-8").strip()  # absolute, or "." for here
        if not home.is_dir():
            raise Refusal(
                f"The database of {data_dir} is kept in {home}, which is gone. Restore that directory, "
                f"or remove {note} to start with an empty database."
            )
        return home
    home = data_dir if _can(owner, "-x", data_dir) else _new_home(owner)
    write_private(note, "." if home == data_dir else str(home))
    return home


def _new_home(owner: Owner) -> Path:
    for parent in REACHABLE_PLACES:
        if not (parent.is_dir() and os.access(parent, os.W_OK) and _can(owner, "-x", parent)):
            continue
        # A random name: an old directory of a removed installation is never taken up by mistake.
        home = parent / f"imaging-cloud-{secrets.token_hex(6)}"
        home.mkdir(mode=0o700)
        os.chown(home, owner.uid, owner.gid)
        return home
    raise Refusal(
        "PostgreSQL does not run as root, and no directory was found that its user can reach "
        f"(tried {', '.join(map(str, REACHABLE_PLACES))}). Set DATABASE_URL, or run as an ordinary user."
    )


def _reachable_programs(home: Path, programs: PostgresPrograms, owner: Owner) -> Path:
    if _can(owner, "-x", programs.bin / "postgres") and _can(owner, "-x", programs.libraries):
        return programs.bin
    if not _can(owner, "-x", home):
        raise Refusal(
            f"The user '{UNPRIVILEGED_USER}' cannot reach {home}, where the database is kept."
        )
    tree = home / "programs"
    copy = PostgresPrograms(tree / programs.package.name, tree / programs.libraries.name)
    if _stamp(copy) != _stamp(programs):
        _copy_programs(programs, tree)
    return copy.bin


def _stamp(programs: PostgresPrograms) -> tuple[int, int] | None:
    """Tells one build of the server from another."""
    server = programs.bin / "postgres"
    return (server.stat().st_size, int(server.stat().st_mtime)) if server.is_file() else None


def _copy_programs(programs: PostgresPrograms, tree: Path) -> None:
    """Copy beside each other, as in site-packages: the programs find their libraries relatively."""
    new = tree.with_name("programs.new")
    shutil.rmtree(new, ignore_errors=True)
    install = programs.bin.parent
    shutil.copytree(
        install, new / programs.package.name / f"pginstall{POSTGRES_MAJOR}", symlinks=True
    )
    shutil.copytree(programs.libraries, new / programs.libraries.name, symlinks=True)
    for directory in (new, new / programs.package.name):
        directory.chmod(0o755)
    shutil.rmtree(tree, ignore_errors=True)
    new.rename(tree)


def _can(owner: Owner, test: str, path: Path) -> bool:
    """Ask as that user: mode bits alone do not tell (access lists, mount options)."""
    answer = subprocess.run(
        ["/bin/sh", "-c", 'test "$1" "$2"', "sh", test, str(path)],
        check=False,
        cwd="/",
        user=owner.uid,
        group=owner.gid,
        extra_groups=[],
    )
    return answer.returncode == 0
