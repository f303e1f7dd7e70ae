#!/usr/bin/env python3
"""Check an export of the audit trail without any of our code.

``verify_audit_export.py FILE [--anchor DAY=HASH …] [--anchors DIR]``

Needs Python 3.8 and nothing else. The rule, in one sentence: the hash of a link is SHA-256 over the 32 bytes of the
hash before it and the entry's JSON with its sequence, keys sorted, without blanks, UTF-8. Exit status 0: whole;
1: broken, and the first broken link is named; 2: not an export, or cut off.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path


class Broken(Exception):
    """A link that does not agree."""


class NotAnExport(Exception):
    """The file is something else, or its end is missing."""


def link_hash(prev_hash, sequence, entry):
    document = json.dumps(
        dict(entry, sequence=sequence), sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    return hashlib.sha256(prev_hash + document.encode("utf-8")).digest()


def lines_of(file):
    for number, line in enumerate(file, 1):
        try:
            parsed = json.loads(line)
        except ValueError:
            raise NotAnExport(f"line {number} is not JSON") from None
        if not isinstance(parsed, dict) or "kind" not in parsed:
            raise NotAnExport(f"line {number} is of no known kind")
        yield parsed


def check_entry(line, sequence, head):
    if line["sequence"] != sequence + 1:
        raise Broken(f"link {sequence + 1} is missing")
    if bytes.fromhex(line["prev_hash"]) != head:
        raise Broken(f"link {line['sequence']} does not continue the link before it")
    if line["entry"] is None:
        raise Broken(f"link {line['sequence']}: the entry is gone")
    digest = link_hash(head, line["sequence"], line["entry"])
    if digest != bytes.fromhex(line["hash"]):
        raise Broken(f"link {line['sequence']}: the entry is not what was chained")
    return line["sequence"], digest


def check_anchor(line, hashes):
    if hashes.get(line["sequence"]) != line["hash"]:
        raise Broken(f"link {line['sequence']} differs from the anchor of {line['day']}")


def check(file, known):
    """Run over the lines; returns the last sequence, the head and how many anchors agreed."""
    lines = lines_of(file)
    first = next(lines, None)
    if first is None or first.get("format") != "imaging-audit-export" or first["version"] != 1:
        raise NotAnExport("the first line is not the head of an export, version 1")
    sequence, head = first["after"], bytes.fromhex(first["hash"])
    anchors, ended = [], False
    known, found, hashes = dict(known), set(), {}
    for line in lines:
        if ended:
            raise NotAnExport("there are lines after the end")
        if line["kind"] == "entry":
            sequence, head = check_entry(line, sequence, head)
            hashes[sequence] = head.hex()
        elif line["kind"] == "anchor":
            anchors.append(line)
        elif line["kind"] == "end":
            ended = True
            if line["sequence"] != sequence:
                raise NotAnExport(f"the end says link {line['sequence']}")
        else:
            raise NotAnExport(f"a line of kind {line['kind']}")
    if not ended:
        raise NotAnExport("the end is missing: the file was cut off")
    for line in anchors:
        check_anchor(line, hashes)
        if line["day"] in known:
            found.add(line["day"])
            if known[line["day"]] != line["hash"]:
                raise Broken(f"the anchor of {line['day']} is not the one that you hold")
    missing = sorted(set(known) - found)
    if missing:
        raise Broken(f"the anchor of {missing[0]} is not in the export")
    return sequence, head, len(anchors)


def stored_anchors(directory):
    """Day and hash of each object that was copied out of the bucket."""
    paths = sorted(Path(directory).glob("*.json"))
    if not paths:
        raise NotAnExport(f"there is no anchor in {directory}")
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in paths]
    return [[document["day"], document["hash"]] for document in documents]


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", help="what 'manage.py export_audit' wrote")
    parser.add_argument(
        "--anchor",
        action="append",
        default=[],
        metavar="DAY=HASH",
        help="an anchor that was kept elsewhere (2026-01-31=ab12…); may be repeated",
    )
    parser.add_argument(
        "--anchors",
        metavar="DIR",
        help="a copy of the bucket's audit/anchors/: each of its objects must agree",
    )
    options = parser.parse_args(arguments)
    known = [anchor.lower().split("=", 1) for anchor in options.anchor]
    try:
        known += stored_anchors(options.anchors) if options.anchors else []
        with Path(options.file).open(encoding="utf-8") as file:
            sequence, head, anchors = check(file, known)
    except Broken as error:
        print(f"BROKEN: {error}")
        return 1
    except (NotAnExport, OSError, KeyError, ValueError, TypeError) as error:
        print(f"NOT AN EXPORT: {error}", file=sys.stderr)
        return 2
    print(f"WHOLE: up to link {sequence}, {anchors} anchors, head {head.hex()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
