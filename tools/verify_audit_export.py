#!/usr/bin/env python3
"""Check an export of the audit trail without any of our code: ``verify_audit_export.py FILE [--anchor DAY=HASH …]``.

Needs Python 3.8 and nothing else. The rule, in one sentence: the hash of a link is SHA-256 over the 32 bytes of the
hash before it and the entry's JSON with its sequence, keys sorted, without blanks, UTF-8. Exit status 0: whole;
1: broken, and the first broken link is named; 2: not an export, or cut off.
"""

import argparse
import hashlib
import json
import sys


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
            raise NotAnExport("line %d is not JSON" % number) from None
        if not isinstance(parsed, dict) or "kind" not in parsed:
            raise NotAnExport("line %d is of no known kind" % number)
        yield parsed


def check_entry(line, sequence, head):
    if line["sequence"] != sequence + 1:
        raise Broken("link %d is missing" % (sequence + 1))
    if bytes.fromhex(line["prev_hash"]) != head:
        raise Broken("link %d does not continue the link before it" % line["sequence"])
    if line["entry"] is None:
        raise Broken("link %d: the entry is gone" % line["sequence"])
    digest = link_hash(head, line["sequence"], line["entry"])
    if digest != bytes.fromhex(line["hash"]):
        raise Broken("link %d: the entry is not what was chained" % line["sequence"])
    return line["sequence"], digest


def check_anchor(line, hashes):
    if hashes.get(line["sequence"]) != line["hash"]:
        raise Broken("link %d differs from the anchor of %s" % (line["sequence"], line["day"]))


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
                raise NotAnExport("the end says link %d" % line["sequence"])
        else:
            raise NotAnExport("a line of kind %s" % line["kind"])
    if not ended:
        raise NotAnExport("the end is missing: the file was cut off")
    for line in anchors:
        check_anchor(line, hashes)
        if line["day"] in known:
            found.add(line["day"])
            if known[line["day"]] != line["hash"]:
                raise Broken("the anchor of %s is not the one that you hold" % line["day"])
    missing = sorted(set(known) - found)
    if missing:
        raise Broken("the anchor of %s is not in the export" % missing[0])
    return sequence, head, len(anchors)


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
    options = parser.parse_args(arguments)
    known = [anchor.lower().split("=", 1) for anchor in options.anchor]
    try:
        with open(options.file, encoding="utf-8") as file:
            sequence, head, anchors = check(file, known)
    except Broken as error:
        print("BROKEN: %s" % error)
        return 1
    except (NotAnExport, OSError, KeyError, ValueError, TypeError) as error:
        print("NOT AN EXPORT: %s" % error, file=sys.stderr)
        return 2
    print("WHOLE: up to link %d, %d anchors, head %s" % (sequence, anchors, head.hex()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
