"""`report.cdx.json`: the data set as a component of a CycloneDX 1.7 bill of materials, with what a scan found.

The data set is a component of type `data`, the model that scored it one of type `machine-learning-model`; both carry
the digests of the run. Findings stand under `properties`, whose names begin with `byorn:`. Written by the
cyclonedx-python-lib, the extra `byorn[bom]`.
"""

import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from byorn.errors import ConfigError
from byorn.flagging.table import FLAGS
from byorn.report.evidence import Evidence
from byorn.report.simulation import Simulation
from byorn.report.verdict import judge
from byorn.report.visible import plain

if TYPE_CHECKING:
    from cyclonedx.model import Property
    from cyclonedx.model.component import Component

NAMESPACE = uuid.UUID("0d1c2b0e-5ad1-5f0c-9d0a-b10b2606e947")
CONTROL = "OWASP AISVS 1.0, 1.3.1"
"""That fine-tuning pipelines look for poisoned data, which a scan is evidence for. Drafts of it had other numbers."""
MOST_CLUSTERS = 20
_FILE = "SHA-256 of "


def as_cyclonedx(evidence: Evidence) -> str:
    """The bill of materials; the same run gives the same text.

    Raises:
        ConfigError: The library is not installed.
    """
    try:
        from cyclonedx.model.bom import Bom, BomMetaData
        from cyclonedx.output.json import JsonV1Dot7
    except ImportError as error:
        raise ConfigError("cyclonedx: the library is not installed; pip install 'byorn[bom]'") from error
    told = "\n".join(f"{name}={value}" for name, value in evidence.provenance.items())
    told = told.encode("utf-8", "backslashreplace").decode()
    bom = Bom(
        serial_number=uuid.uuid5(NAMESPACE, told),
        metadata=BomMetaData(timestamp=_written(evidence.run.folder)),
        components=[_data(evidence), _model(evidence)],
    )
    return JsonV1Dot7(bom).output_as_string(indent=1) + "\n"


def _written(folder: Path) -> datetime:
    """When the flags were written: a report is as old as what it reports."""
    path = folder / FLAGS
    return datetime.fromtimestamp(int(path.stat().st_mtime) if path.exists() else 0, UTC)


def _data(evidence: Evidence) -> "Component":
    from cyclonedx.model.component import Component, ComponentType

    facts = evidence.provenance
    return Component(
        type=ComponentType.DATA,
        name=plain(facts.get("data", ""), 300) or "data set",
        version=facts.get("data fingerprint (BLAKE2b)"),
        bom_ref="data",
        description=judge(evidence).sentence,
        properties=_properties(evidence),
    )


def _model(evidence: Evidence) -> "Component":
    from cyclonedx.model.component import Component, ComponentType

    facts = evidence.provenance
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=plain(facts.get("model", ""), 300) or "model",
        version=facts.get("model digest"),
        bom_ref="model",
    )


def _properties(evidence: Evidence) -> "Iterator[Property]":
    from cyclonedx.model import Property

    for name, value in _facts(evidence):
        yield Property(name=f"byorn:{name}", value=plain(str(value), 600))


def _facts(evidence: Evidence) -> Iterator[tuple[str, object]]:
    verdict, counts = judge(evidence), evidence.counts
    yield "control", CONTROL
    yield "stands_out", str(verdict.stands_out).lower()
    yield from {
        "rows": counts.rows,
        "rows:standing_out": counts.standing_out,
        "rows:flagged": counts.flagged,
        "rows:unscored": counts.unscored,
        "records:rejected": counts.rejected,
        "reviewed:keep": evidence.reviews.keep,
        "reviewed:replace": evidence.reviews.replace,
        "reviewed:drop": evidence.reviews.drop,
    }.items()
    for number, finding in enumerate(evidence.findings[:MOST_CLUSTERS]):
        yield f"cluster:{number}:phrase", finding.cluster.phrase
        yield f"cluster:{number}:rows", len(finding.cluster)
        yield f"cluster:{number}:p_value", f"{finding.cluster.p_value:.3g}"
    if evidence.simulation is not None:
        yield from _tried(evidence.simulation)
    for number, spot in enumerate(verdict.blind_spots):
        yield f"cannot_see:{number}", spot
    files = {name: value for name, value in evidence.provenance.items() if name.startswith(_FILE)}
    yield from ((f"sha256:{name.removeprefix(_FILE)}", value) for name, value in files.items())
    yield "command", evidence.provenance.get("command", "")


def _tried(simulation: Simulation) -> Iterator[tuple[str, object]]:
    """What the scan sees of each attack that was planted in these rows."""
    yield "simulation:rate", simulation.rate
    for number, one in enumerate(simulation.attacks):
        yield f"simulation:{number}:attack", one.name
        yield f"simulation:{number}:seen", one.seen
        if one.sight is not None and one.named is not None:
            yield f"simulation:{number}:recall", one.recall
            yield f"simulation:{number}:named", f"{one.named.planted} of {one.sight.flagged.n}"
