"""What each kind of authentication needs to be told."""

from __future__ import annotations

from collections.abc import Mapping

# Names as common.dicomweb's OriginConfig takes them.
REQUIRED: dict[str, frozenset[str]] = {
    "none": frozenset(),
    "basic": frozenset({"username", "password"}),
    "bearer": frozenset({"token"}),
    "oauth2": frozenset({"token_url", "client_id", "client_secret"}),
    "certificate": frozenset({"certificate", "key"}),
}
# ``ca``: an authority of the hospital's own that signed its server certificate.
OPTIONAL: dict[str, frozenset[str]] = {
    "basic": frozenset({"ca"}),
    "bearer": frozenset({"ca"}),
    "oauth2": frozenset({"ca", "scope"}),
    "certificate": frozenset({"ca", "key_password"}),
}
_PEM = frozenset({"certificate", "key", "ca"})
LONGEST = 64 * 1024


def faults(auth: str, secret: Mapping[str, object]) -> list[str]:
    """What is missing, superfluous or malformed, by name and never by value; empty when it fits."""
    required = REQUIRED[auth]
    allowed = required | OPTIONAL.get(auth, frozenset())
    found = [f"{name}: missing" for name in sorted(required) if not secret.get(name)]
    found += [f"{name}: not used by {auth}" for name in sorted(set(secret) - allowed)]
    for name in sorted(allowed & set(secret)):
        found += [f"{name}: {fault}" for fault in _value_faults(name, secret[name])]
    return found


def _value_faults(name: str, value: object) -> list[str]:
    if not isinstance(value, str) or len(value) > LONGEST:
        return [f"not a text of at most {LONGEST} characters"]
    if name in _PEM:
        return [] if not value or "-----BEGIN " in value else ["not in PEM form"]
    # A line end in a credential would add a header to our requests.
    return ["holds a control character"] if any(ord(c) < 32 for c in value) else []
