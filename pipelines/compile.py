"""Compiles a config: TFX's IR for the node runner, a small topology file for the DAG.

python -m pipelines.compile configs/digits.yaml
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from components.dataset.label_map import LabelMap
from components.errors import ClassLiftError, ConfigError
from components.text import printable
from pipelines.bindings import RuntimeValues, bind
from pipelines.config import METADATA_VARIABLE, Config, load_config
from pipelines.nodes import IR, NODES, ON_GPU, TOPOLOGY

ROOT = Path(__file__).resolve().parent.parent
SCHEMA, SERVED = "schema.pbtxt", "models.config"
CODE_SUFFIXES = {".py", ".j2", ".pbtxt"}
CURATED_SCHEMA = ROOT / "components" / "rebalanced_example_gen" / SCHEMA


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compile a config to TFX's IR and a topology.")
    parser.add_argument("config", type=Path, help="e.g. configs/digits.yaml")
    try:
        write_compiled(load_config(parser.parse_args().config))
    except ClassLiftError as error:
        print(f"classlift: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def compile_config(config: Config) -> Path:
    """Compiles a config unless its compiled form is current; returns the folder it lies in.

    In a process of its own, for TensorFlow talks while it is imported. Raises ConfigError when
    that process fails, with what it said.
    """
    folder = compiled_folder(config)
    topology = folder / TOPOLOGY
    if topology.exists() and json.loads(topology.read_text())["stamp"] == _stamp(
        config, _versions(config)
    ):
        return folder
    result = subprocess.run(
        [sys.executable, "-m", "pipelines.compile", str(config.path)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if result.returncode:
        lines = result.stdout.splitlines()
        print(printable(result.stdout, keep="\n"), file=sys.stderr)
        raise ConfigError(f"{config.path} could not be compiled: {' '.join(lines[-1:])}")
    return folder


def compile_all() -> None:
    """Compiles every config in configs/, and writes for TF Serving which models they push."""
    lines = []
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        print(f"compiling {path.relative_to(ROOT)}", flush=True)
        config = load_config(path)
        compile_config(config)
        name, serving = json.dumps(config.name), json.dumps(str(config.serving))
        lines.append(
            f'  config {{ name: {name} base_path: {serving} model_platform: "tensorflow" }}\n'
        )
    compiled_root().mkdir(parents=True, exist_ok=True)
    _replace(compiled_root() / SERVED, f"model_config_list {{\n{''.join(lines)}}}\n")


def write_compiled(config: Config) -> None:
    """Writes `pipeline.json`, `topology.json` and `schema.pbtxt`, and makes the metadata store."""
    folder, versions = compiled_folder(config), _versions(config)
    folder.mkdir(parents=True, exist_ok=True)
    fixed = {
        "backend": config.backend,
        "code_version": versions["code"],
        "work": str(config.work),
    }
    ir = _compile(config, bind(config.defaults, fixed), folder, versions)
    topology: dict[str, Any] = {
        "stamp": _stamp(config, versions),
        "name": config.name,
        "config": str(config.path),
        "work": str(config.work),
        "fixed": fixed,
        "airflow": config.airflow,
        "parameters": config.parameter_schemas(),
        "defaults": config.defaults,
        "nodes": [_node(node.pipeline_node) for node in ir.nodes],
    }
    if config.watch:
        topology["watch"] = {"cron": config.watch.cron}
    _replace(folder / TOPOLOGY, json.dumps(topology, indent=1))


def _node(node: Any) -> dict[str, Any]:
    """What the runners need to know of a node of the IR."""
    name = node.node_info.id
    profile, phase, about = NODES[name]
    return {
        "id": name,
        "upstream": sorted(node.upstream_nodes),
        "profile": profile,
        "phase": phase,
        "about": about,
        "on_gpu": name in ON_GPU,
    }


def _versions(config: Config) -> dict[str, str]:
    """Hashes that the cache of the pipeline is keyed by."""
    model = sorted(path for path in config.model.rglob("*") if path.is_file())
    code = sorted(p for p in (ROOT / "components").rglob("*") if p.suffix in CODE_SUFFIXES)
    return {"code": hash_files(code, ROOT), "model": hash_files(model, config.model)}


def _stamp(config: Config, versions: dict[str, str]) -> str:
    """Changes when anything does that the compiled pipeline depends on."""
    pipelines = hash_files(sorted((ROOT / "pipelines").glob("*.py")), ROOT)
    metadata = os.environ.get(METADATA_VARIABLE)
    parts = [config.path.read_text(), str(ROOT), versions, pipelines, metadata]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def compiled_root() -> Path:
    """Where the compiled pipelines lie; the DAGs look for topologies there."""
    return Path(os.environ.get("CLASSLIFT_COMPILED") or ROOT / "build" / "compiled")


def compiled_folder(config: Config) -> Path:
    """Where the compiled pipeline of a config lies."""
    return compiled_root() / config.name


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

    from pipelines.metadata import connection_to, initialise
    from pipelines.pipeline import build_pipeline

    schema_file = folder / SCHEMA
    _replace(schema_file, text_format.MessageToString(curated_schema(config.label_map)))
    connection = connection_to(config.work)
    pipeline = build_pipeline(config, defaults, schema_file, versions, connection)
    ir = compiler.Compiler().compile(pipeline)
    _replace(folder / IR, json_format.MessageToJson(ir, sort_keys=True))
    initialise(connection)
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
