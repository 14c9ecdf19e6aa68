"""Compiles a config: TFX's IR for the node runner, a small topology file for the DAG.

python -m pipelines.compile configs/digits.yaml
"""

import argparse
import hashlib
import itertools
import json
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from classlift import own_folders
from classlift.data.label_map import LabelMap
from classlift.environment import COMPILED_VARIABLE, METADATA_VARIABLE
from classlift.errors import EXIT_OK, ConfigError
from classlift.faults import exit_code_of
from classlift.paths import replacing
from classlift.progress import configure
from classlift.text import printable
from pipelines import imports
from pipelines.bindings import RuntimeValues, bind
from pipelines.claims import claim, claim_compiled, compiled_for, require_compiled_free
from pipelines.code import all_files, code_version, component_modules, hash_files
from pipelines.config import Config, load_config
from pipelines.nodes import ROWS
from pipelines.places import serving_of
from pipelines.topology import (
    IR,
    Data,
    Topology,
    TopologyNode,
    Watching,
    makes_dags,
)

logger = logging.getLogger(__name__)

ROOT = Path(__file__).resolve().parent.parent
SCHEMA, SERVED = "schema.pbtxt", "models.config"
CURATED_SCHEMA = ROOT / "classlift" / "examples" / SCHEMA


def main() -> int:
    """The command line; returns the exit code."""
    parser = argparse.ArgumentParser(description="Compile a config to TFX's IR and a topology.")
    parser.add_argument("config", type=Path, help="e.g. configs/digits.yaml")
    parser.add_argument("--not-in-airflow", action="store_true", help="no DAG is made of it")
    arguments = parser.parse_args()
    configure(sys.stderr)

    def compile_it() -> int:
        write_compiled(load_config(arguments.config), not arguments.not_in_airflow)
        return EXIT_OK

    return exit_code_of(compile_it)


def compile_config(config: Config, in_airflow: bool = True) -> Path:
    """Compiles a config unless its compiled form is current.

    In a process of its own, for TensorFlow talks while it is imported.

    Args:
        config: to compile.
        in_airflow: whether the config gets DAGs; one that has some keeps them.

    Returns:
        The folder that the compiled form lies in.

    Raises:
        ConfigError: another config has its name or one of its folders, see `pipelines.claims`, or
            that process fails; says what it said.

    """
    folder = claim_folders(config)
    in_airflow = in_airflow or makes_dags(folder)
    try:
        now = Topology.read(folder)
        if (now.stamp, now.in_airflow) == (_stamp(config, _versions(config)), in_airflow):
            return folder
    except ConfigError:
        pass  # there is none yet, or another version's
    result = subprocess.run(
        [
            *(sys.executable, "-m", "pipelines.compile", str(config.path)),
            *([] if in_airflow else ["--not-in-airflow"]),
        ],
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


def claim_folders(config: Config) -> Path:
    """Makes the folders of a config its own.

    Args:
        config: to compile.

    Returns:
        The folder of its compiled form.

    Raises:
        ConfigError: one is another config's, or the name is.

    """
    folder = compiled_folder(config)
    require_compiled_free(folder, config.name, config.path)  # before anything is made
    claim(config.name, config.path, config.work, config.serving)
    claim_compiled(folder, config.name, config.path)
    return folder


def compile_all() -> list[Path]:
    """Compiles every config in configs/, and writes for TF Serving which models they push.

    Compiled forms of other configs, which were removed or tried once, are removed: their DAGs go.

    Returns:
        The folders of the compiled forms.

    """
    _own_root()
    lines, folders = [], []
    configs = [load_config(path) for path in sorted((ROOT / "configs").glob("*.yaml"))]
    _require_apart(configs)
    for folder in compiled_root().glob("*"):
        owner = compiled_for(folder)
        if owner is not None and owner not in [config.path for config in configs]:
            logger.info(f"removing {folder}: {owner} is not in configs/")
            own_folders.remove(folder, own_folders.COMPILED)
    for config in configs:
        logger.info(f"compiling {config.path.relative_to(ROOT)}")
        folders.append(compile_config(config))
        name, serving = json.dumps(config.name), json.dumps(str(serving_of(config)))
        lines.append(
            f'  config {{ name: {name} base_path: {serving} model_platform: "tensorflow" }}\n'
        )
    _replace(compiled_root() / SERVED, f"model_config_list {{\n{''.join(lines)}}}\n")
    return folders


def _own_root() -> None:
    """Marks the folder of all compiled forms as ours.

    Raises:
        ConfigError: it has a list for TF Serving and nothing that ClassLift compiled.

    """
    root = compiled_root()
    if own_folders.is_own(root, own_folders.ALL_COMPILED):
        return
    if (root / SERVED).exists() and not any(compiled_for(folder) for folder in root.glob("*")):
        raise ConfigError(
            f"{root / SERVED}: ClassLift did not write this file, and would overwrite it; move it "
            "away, or name another folder in CLASSLIFT_COMPILED."
        )
    root.mkdir(parents=True, exist_ok=True)
    note = "ClassLift may remove the folders in here that have a file like this."
    own_folders.write_mark(root, {"what": own_folders.ALL_COMPILED, "note": note})


def _require_apart(configs: Sequence[Config]) -> None:
    """Raises ConfigError when two configs have one name, or folders that contain one another."""
    for one, other in itertools.combinations(configs, 2):
        if one.name == other.name:
            raise ConfigError(
                f"{one.path} and {other.path} have the same name ({one.name}); give one of them "
                "another name."
            )
        for key, folder in _written(one):
            for its, place in _written(other):
                if folder.is_relative_to(place) or place.is_relative_to(folder):
                    raise ConfigError(
                        f"{key} of {one.path} ({folder}) and {its} of {other.path} ({place}) are "
                        "the same or contain one another; give each config folders of its own."
                    )


def _written(config: Config) -> Sequence[tuple[str, Path]]:
    """The folders that a config's runs write to, by key; of a bucket, its address."""
    return ("work", config.work), ("serving", Path(str(serving_of(config))))


def write_compiled(config: Config, in_airflow: bool = True) -> None:
    """Writes `pipeline.json`, `topology.json` and `schema.pbtxt`, and makes the metadata store.

    Args:
        config: to compile.
        in_airflow: whether the config gets DAGs.

    Raises:
        ConfigError: as `compile_config`.

    """
    folder = claim_folders(config)
    topology = topology_of(config, in_airflow)
    ir = _compile(config, bind(config.defaults, topology.for_trainer()), folder, topology)
    nodes = tuple(_node(node.pipeline_node) for node in ir.nodes)
    replace(topology, nodes=nodes).write(folder)


def topology_of(config: Config, in_airflow: bool = True) -> Topology:
    """What runners and DAGs need to know of a config, without its nodes."""
    versions = _versions(config)
    return Topology(
        stamp=_stamp(config, versions),
        name=config.name,
        config=config.path,
        work=config.work,
        serving=config.serving,
        model=config.model,
        model_hash=versions["model"],
        backend=config.backend,
        in_airflow=in_airflow,
        code={name: code_version(name) for name in component_modules()},
        data=Data(config.data_root, tuple(json.loads(config.source_records))),
        airflow=config.airflow,
        parameters=config.parameter_schemas(),
        defaults=config.defaults,
        nodes=(),
        watch=Watching(config.watch.cron) if config.watch else None,
    )


def _node(node: Any) -> TopologyNode:
    """A node of the IR, with what its row in the table of nodes says of it."""
    row = ROWS[node.node_info.id]
    facts = {
        field.name: getattr(row, field.name)
        for field in fields(TopologyNode)
        if hasattr(row, field.name)
    }
    return TopologyNode(upstream=tuple(sorted(node.upstream_nodes)), **facts)


def _versions(config: Config) -> dict[str, str]:
    """Hashes of all code and of the model."""
    model = sorted(path for path in config.model.rglob("*") if path.is_file())
    return {"code": hash_files(all_files(), ROOT), "model": hash_files(model, config.model)}


def _stamp(config: Config, versions: dict[str, str]) -> str:
    """Changes when anything does that the compiled pipeline depends on."""
    pipelines = hash_files(sorted((ROOT / "pipelines").glob("*.py")), ROOT)
    metadata = os.environ.get(METADATA_VARIABLE)
    path = str(config.path)
    parts = [path, config.path.read_text(), str(ROOT), versions, pipelines, metadata]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def compiled_root() -> Path:
    """Where the compiled pipelines lie; the DAGs look for topologies there."""
    return Path(os.environ.get(COMPILED_VARIABLE) or ROOT / "build" / "compiled")


def compiled_folder(config: Config) -> Path:
    """Where the compiled pipeline of a config lies."""
    return compiled_root() / config.name


def _compile(config: Config, defaults: RuntimeValues, folder: Path, topology: Topology) -> Any:
    imports.quiet_tensorflow()
    os.environ.update(imports.WITHOUT_KERAS)
    from google.protobuf import json_format, text_format

    with imports.forbidden():
        from tfx.dsl.compiler import compiler

    from pipelines.metadata import connection_to, initialise
    from pipelines.pipeline import build_pipeline

    schema_file = folder / SCHEMA
    _replace(schema_file, text_format.MessageToString(curated_schema(config.label_map)))
    connection = connection_to(config.work)
    pipeline = build_pipeline(config, defaults, schema_file, topology, connection)
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
    label.int_domain.max = label_map.last_id
    return schema


def _replace(path: Path, text: str) -> None:
    """Writes a file whole or not at all."""
    with replacing(path) as draft:
        draft.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
