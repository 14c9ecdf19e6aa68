"""Compiles a config: TFX's IR for the node runner, a small topology file for the DAG.

python -m pipelines.compile configs/digits.yaml
"""

import argparse
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

from components.dataset.label_map import LabelMap
from components.errors import ClassLiftError
from pipelines.bindings import RuntimeValues, bind
from pipelines.config import Config, load_config
from pipelines.nodes import IR, NODES, TOPOLOGY

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = "schema.pbtxt"
CURATED_SCHEMA = ROOT / "components" / "rebalanced_example_gen" / SCHEMA


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compile a config to TFX's IR and a topology.")
    parser.add_argument("config", type=Path, help="e.g. configs/digits.yaml")
    try:
        compile_config(load_config(parser.parse_args().config))
    except ClassLiftError as error:
        print(f"classlift: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def compile_config(config: Config) -> Path:
    """Writes `pipeline.json`, `topology.json` and `schema.pbtxt`; returns their folder.

    Does nothing when they are current: TFX alone takes ten seconds to import.
    """
    folder = compiled_folder(config)
    versions = {
        "code": hash_files([*sorted((ROOT / "components").rglob("*.py")), CURATED_SCHEMA], ROOT),
        "model": hash_files(
            sorted(p for p in config.model.rglob("*") if p.is_file()), config.model
        ),
    }
    pipelines = hash_files(sorted((ROOT / "pipelines").glob("*.py")), ROOT)
    stamp = hashlib.sha256(
        json.dumps([config.path.read_text(), str(ROOT), versions, pipelines]).encode()
    ).hexdigest()
    topology_file = folder / TOPOLOGY
    if topology_file.exists() and json.loads(topology_file.read_text())["stamp"] == stamp:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    fixed = {"backend": config.backend, "code_version": versions["code"]}
    ir = _compile(config, bind(config.defaults, fixed), folder, versions)
    topology: dict[str, Any] = {
        "stamp": stamp,
        "name": config.name,
        "config": str(config.path),
        "work": str(config.work),
        "fixed": fixed,
        "parameters": config.parameter_schemas(),
        "defaults": config.defaults,
        "nodes": [
            {
                "id": node.pipeline_node.node_info.id,
                "upstream": sorted(node.pipeline_node.upstream_nodes),
                "profile": NODES[node.pipeline_node.node_info.id][0],
                "phase": NODES[node.pipeline_node.node_info.id][1],
            }
            for node in ir.nodes
        ],
    }
    _replace(topology_file, json.dumps(topology, indent=1))
    return folder


def compiled_folder(config: Config) -> Path:
    """Where the compiled pipeline of a config lies; the DAGs look for topologies there."""
    root = os.environ.get("CLASSLIFT_COMPILED") or ROOT / "build" / "compiled"
    return Path(root) / config.name


def hash_files(paths: list[Path], root: Path) -> str:
    """SHA-256 over the names, relative to `root`, and the content of files; 16 digits."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(str(path.relative_to(root)).encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


def _compile(
    config: Config, defaults: RuntimeValues, folder: Path, versions: dict[str, str]
) -> Any:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from google.protobuf import json_format, text_format
    from tfx.dsl.compiler import compiler

    from pipelines.metadata import initialise
    from pipelines.pipeline import build_pipeline

    schema_file = folder / SCHEMA
    _replace(schema_file, text_format.MessageToString(curated_schema(config.label_map)))
    pipeline = build_pipeline(config, defaults, schema_file, versions)
    ir = compiler.Compiler().compile(pipeline)
    _replace(folder / IR, json_format.MessageToJson(ir, sort_keys=True))
    initialise(config.work / "metadata.db")
    return ir


def curated_schema(label_map: LabelMap) -> Any:
    """The TFDV schema of the examples, with a model's classes filled in."""
    from google.protobuf import text_format
    from tensorflow_metadata.proto.v0 import schema_pb2

    schema = text_format.Parse(CURATED_SCHEMA.read_text(), schema_pb2.Schema())
    next(d for d in schema.string_domain if d.name == "classes").value.extend(label_map)
    label = next(f for f in schema.feature if f.name == "image/object/class/label")
    label.int_domain.max = len(label_map)
    return schema


def _replace(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(text)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
