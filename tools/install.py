#!/usr/bin/env python3
"""Make ``.venv`` from a hash-locked list: ``python3 tools/install.py requirements.lock``.

Standard library only, and syntax of old Pythons up to the version check, so that an old Python gets a
sentence instead of a traceback. Does nothing when the list has not changed since the last time.
"""

import hashlib
import os
import subprocess
import sys

NEEDED = (3, 11)
ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
SOURCE_ROOTS = ("platform", ".")


def main():
    if sys.version_info < NEEDED:
        found = ".".join(map(str, sys.version_info[:2]))
        return (
            "Python 3.11 or newer is needed; this is %s. Choose one: make PYTHON=python3.12" % found
        )
    lock = os.path.join(ROOT, sys.argv[1])
    if is_current(lock):
        return None
    for step in (make_environment, lambda: install(lock), link_source_roots):
        fault = step()
        if fault:
            return fault
    remember(lock)
    return None


def make_environment():
    if os.path.exists(PYTHON) and works(PYTHON, "import pip"):
        return None
    if not works(sys.executable, "import venv, ensurepip"):
        return (
            "Python's venv module is missing. Debian, Ubuntu: apt install python3-venv python3-pip"
        )
    print("Making .venv …", flush=True)
    if subprocess.call([sys.executable, "-m", "venv", "--clear", VENV]):
        return ".venv could not be made; see above."
    return None


def install(lock):
    print("Installing %s …" % os.path.basename(lock), flush=True)
    command = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if subprocess.call(command + ["--require-hashes", "--no-deps", "-r", lock]):
        return "The packages could not be installed; see above. Is the package index reachable?"
    return None


def link_source_roots():
    """As an editable install would, without needing its build tool at run time."""
    found = subprocess.check_output(
        [PYTHON, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
    )
    path = os.path.join(found.strip(), "imaging_cloud.pth")
    with open(path, "w", encoding="utf-8") as file:
        for root in SOURCE_ROOTS:
            file.write(os.path.normpath(os.path.join(ROOT, root)) + "\n")
    return None


def digest(lock):
    with open(lock, "rb") as file:
        content = file.read()
    # The place and the Python belong to it: a moved checkout needs its paths written again.
    return hashlib.sha256(content + ROOT.encode() + sys.version.encode()).hexdigest()


def stamp(lock):
    return os.path.join(VENV, os.path.basename(lock) + ".sha256")


def is_current(lock):
    """The development list holds all of the running list, so it also stands for it."""
    names = {os.path.basename(lock), "requirements-dev.lock"}
    return any(is_stamped(os.path.join(ROOT, name)) for name in names)


def is_stamped(lock):
    try:
        with open(stamp(lock), encoding="utf-8") as file:
            return file.read() == digest(lock)
    except OSError:
        return False


def remember(lock):
    with open(stamp(lock), "w", encoding="utf-8") as file:
        file.write(digest(lock))


def works(python, code):
    return subprocess.call([python, "-c", code], stderr=subprocess.DEVNULL) == 0


if __name__ == "__main__":
    sys.exit(main())
