"""OpenLineage's published JSON schemas, as the crate `datafusion-openlineage` carries them, fetched once from crates.io.

No package of OpenLineage's own has them. The crate's README says that they are verbatim those of OpenLineage 1.50.0.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource

from spark_dynamo.run_logs import openlineage

__all__ = ["Specification", "specification"]

CRATE, VERSION = "datafusion-openlineage", "0.0.12"
SHA256 = "c3174cdfb83e6ada02b64b2684f696ca382886cae5ce98d12ec802bbb1392129"
CORE = "https://openlineage.io/spec/2-0-2/OpenLineage.json"
OURS = Path(openlineage.__file__).with_name("openlineage_facets.json")
_FOLDER = f"{CRATE}-{VERSION}/tests/schemas/openlineage/"
_FETCH_SECONDS = 120


class Specification:
    """The core schema and those of facets, by their ids; ours among them."""

    def __init__(self, schemas: dict[str, Any]) -> None:
        self.schemas = schemas
        resources = [(name, Resource.from_contents(schema)) for name, schema in schemas.items()]
        self._registry: Registry[Any] = Registry().with_resources(resources)

    def check(self, value: Any, url: str) -> None:
        """Raise where a value is not what the schema at a URL with a JSON pointer asks for."""
        validator = Draft202012Validator({"$ref": url}, registry=self._registry, format_checker=FormatChecker())
        errors = [
            f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in validator.iter_errors(value)
        ]
        assert not errors, errors

    def knows(self, url: str) -> bool:
        return url.partition("#")[0] in self.schemas

    def properties(self, url: str) -> set[str]:
        """The names that a facet's schema lists beside those of all facets."""
        place, _, name = url.partition("#/$defs/")
        definition = self.schemas[place]["$defs"][name]
        parts = [definition, *definition.get("allOf", [])]
        return {name for part in parts for name in part.get("properties", {})} | {"_producer", "_schemaURL"}


def specification() -> Specification:
    """The schemas; without cargo or its registry the test is skipped, in CI too: they are data, and no server."""
    try:
        crate = _crate()
    except (OSError, subprocess.SubprocessError) as error:
        pytest.skip(f"OpenLineage's schemas are unavailable: {error}")
    found = [json.loads(OURS.read_text())]
    with tarfile.open(crate) as archive:
        for member in archive:
            if member.name.startswith(_FOLDER) and member.name.endswith(".json"):
                file = archive.extractfile(member)
                assert file is not None
                found.append(json.load(file))
    schemas = {schema["$id"]: schema for schema in found}
    assert CORE in schemas
    return Specification(schemas)


def _crate() -> Path:
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "spark_dynamo")
    crate = root / f"{CRATE}-{VERSION}.crate"
    if not crate.is_file():
        cargo = shutil.which("cargo")
        if cargo is None:
            raise FileNotFoundError("there is no `cargo` on the PATH to fetch them with; install Rust.")
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as home:
            subprocess.run(  # it looks at a crate without what that depends on
                [cargo, "info", "--quiet", "--registry", "crates-io", f"{CRATE}@{VERSION}"],
                cwd=home,
                env={**os.environ, "CARGO_HOME": home},
                capture_output=True,
                check=True,
                timeout=_FETCH_SECONDS,
            )
            (fetched,) = Path(home).glob(f"registry/cache/*/{crate.name}")
            fetched.replace(crate)
    checksum = hashlib.sha256(crate.read_bytes()).hexdigest()
    assert checksum == SHA256, f"{crate} has the SHA-256 {checksum}, and {SHA256} is pinned; delete it to fetch it anew"
    return crate
