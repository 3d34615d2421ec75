# SPDX-License-Identifier: Apache-2.0
"""Holds THIRD-PARTY.md against what is used, and writes the CycloneDX bill of materials of the Python half.

    python3 packaging/bill_of_materials.py target/bom.json target/bom-python.json

The first file is the Java half's, made by the CycloneDX plugin (`mvn -Prelease package`). It fails where THIRD-PARTY.md lacks
something, or has what is no longer used. With `--update`, run by an environment's own Python so that licences can be read from
its packages, the tables of THIRD-PARTY.md are written anew instead.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import sys
import uuid
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
NOTICES = ROOT / "THIRD-PARTY.md"
LOCKS = [ROOT / "python/requirements" / name for name in ("runtime.lock", "jep.lock")]
SECTIONS = ("Java", "Python")
_PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==([^ ;\\]+)", re.IGNORECASE)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_ROW = re.compile(r"^\| (?P<name>[^|]+) \| (?P<version>[^|]+) \| (?P<licence>[^|]*) \|$")


class Part(NamedTuple):
    """Something that is used: a Maven artifact or a Python package."""

    name: str
    version: str
    licence: str
    hashes: tuple[str, ...] = ()


def locked() -> list[Part]:
    """Return the packages of the locks, with the hashes of the files that may be installed."""
    parts: list[Part] = []
    for lock in LOCKS:
        for line in lock.read_text(encoding="utf-8").splitlines():
            if pin := _PIN.match(line):
                parts.append(Part(pin[1].lower(), pin[2], ""))
            elif digest := _HASH.search(line):
                parts[-1] = parts[-1]._replace(hashes=(*parts[-1].hashes, digest[1]))
    return sorted(parts)


def of_java(bom: Path) -> list[Part]:
    """Return the artifacts of a CycloneDX bill, each with the licences that its own description names."""
    parts = []
    for component in json.loads(bom.read_text(encoding="utf-8"))["components"]:
        named = [it.get("expression") or it["license"].get("id") or it["license"]["name"] for it in component.get("licenses", [])]
        parts.append(Part(f"{component['group']}:{component['name']}", component["version"], " or ".join(named)))
    return sorted(set(parts))


def noticed(section: str) -> list[Part]:
    """Return what a table of THIRD-PARTY.md lists."""
    _, _, rest = NOTICES.read_text(encoding="utf-8").partition(f"## {section}\n")
    rows = (_ROW.match(line) for line in rest.partition("\n## ")[0].splitlines())
    return [Part(*row.group("name", "version", "licence")) for row in rows if row and not set(row["name"]) <= {"-"}][1:]


def licence_of(package: str) -> str:
    """Return the licence that an installed package names, empty where it is not installed here."""
    try:
        about = importlib.metadata.metadata(package)
    except importlib.metadata.PackageNotFoundError:
        return ""
    classifiers = [
        it.rpartition(" :: ")[2] for it in about.get_all("Classifier", []) if it.startswith("License :: OSI Approved ::")
    ]
    return about.get("License-Expression") or " or ".join(classifiers) or (about.get("License") or "").strip().partition("\n")[0]


def differences(used: list[Part], listed: list[Part]) -> list[str]:
    """Tell what is used and not listed, listed and not used, or listed without a licence."""
    now, then = ({(it.name, it.version) for it in parts} for parts in (used, listed))
    return [
        *(f"{name} {version} is not in THIRD-PARTY.md" for name, version in sorted(now - then)),
        *(f"{name} {version} of THIRD-PARTY.md is not used" for name, version in sorted(then - now)),
        *(f"{it.name} has no licence in THIRD-PARTY.md" for it in listed if not it.licence.strip()),
    ]


def write_bill(parts: list[Part], licences: dict[str, str], to: Path) -> None:
    """Write a CycloneDX 1.6 bill: the same parts give the same bytes."""
    components = []
    for part in parts:
        purl = f"pkg:pypi/{part.name}@{part.version}"
        component = {
            "type": "library",
            "bom-ref": purl,
            "name": part.name,
            "version": part.version,
            "licenses": [{"license": {"name": licences[part.name]}}],
            "purl": purl,
            "externalReferences": [
                {"type": "distribution", "url": purl, "hashes": [{"alg": "SHA-256", "content": it} for it in part.hashes]}
            ],
        }
        components.append(component)
    content = json.dumps(components, sort_keys=True)
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, content)}",
        "version": 1,
        "metadata": {"component": {"type": "library", "bom-ref": "ragbus", "name": "ragbus"}},
        "components": components,
    }
    to.write_text(json.dumps(bill, indent=2) + "\n", encoding="utf-8")


def update(used: dict[str, list[Part]]) -> None:
    """Write the tables of THIRD-PARTY.md anew; a licence that cannot be read stays as it is there."""
    text = NOTICES.read_text(encoding="utf-8")
    for section, parts in used.items():
        known = {it.name: it.licence for it in noticed(section)}
        rows = [f"| {it.name} | {it.version} | {known.get(it.name) or it.licence or licence_of(it.name)} |" for it in parts]
        head, title, rest = text.partition(f"## {section}\n")
        before = [line for line in rest.partition("\n## ")[0].splitlines() if not line.startswith("|")]
        after = rest.partition("\n## ")[1] + rest.partition("\n## ")[2]
        table = ["| name | version | licence |", "|---|---|---|", *rows]
        text = head + title + "\n".join(["", *filter(None, before), "", *table, ""]) + after
    NOTICES.write_text(text, encoding="utf-8")


def main() -> int:
    """Do what the module says; return the exit code."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("java", type=Path, help="the Java half's bill of materials")
    arguments.add_argument("python", type=Path, help="the Python half's, which is written")
    arguments.add_argument("--update", action="store_true", help="write the tables of THIRD-PARTY.md")
    given = arguments.parse_args()
    used = {"Java": of_java(given.java), "Python": locked()}
    if given.update:
        update(used)
    problems = [problem for section in SECTIONS for problem in differences(used[section], noticed(section))]
    sys.stderr.writelines(f"{problem}\n" for problem in problems)
    if not problems:
        write_bill(used["Python"], {it.name: it.licence for it in noticed("Python")}, given.python)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
