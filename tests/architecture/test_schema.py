"""The description of the REST API is complete: the generator has nothing to guess and nothing to warn of."""

from __future__ import annotations

from pathlib import Path

import yaml
from django.core.management import call_command


def test_the_description_is_valid_and_built_without_a_warning(tmp_path: Path) -> None:
    written = tmp_path / "schema.yml"

    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(written))

    described = yaml.safe_load(written.read_text(encoding="utf-8"))
    assert len(described["paths"]) > 20
    assert {"EncounterKind", "InstitutionState", "TokenState"} <= set(
        described["components"]["schemas"]
    )
