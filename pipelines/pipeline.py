"""The TFX pipeline of one config.

Of TFX it imports the modules of what it uses: `tfx.v1` brings cloud services with it, for seconds.
"""

import json
from functools import partial
from pathlib import Path

from google.protobuf import json_format
from ml_metadata.proto import metadata_store_pb2
from tfx.components.example_validator.component import ExampleValidator
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.components.trainer.component import Trainer
from tfx.dsl.components.base import base_component
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline
from tfx.proto.pusher_pb2 import PushDestination

from classlift.transforms import for_tfx
from components.bulk_detect import BulkDetect
from components.champion_resolver import ChampionResolver
from components.class_diagnoser import ClassDiagnoser
from components.data_validator import DataValidator
from components.dataset_snapshot import DatasetSnapshot
from components.pusher import Pusher
from components.rebalanced_example_gen import RebalancedExampleGen
from components.recall_gate import RecallGate
from components.serving_check import ServingCheck
from pipelines.bindings import RuntimeValues
from pipelines.config import Config
from pipelines.places import PIPELINE_ROOT
from pipelines.topology import TRAINER, Topology


def build_pipeline(
    config: Config,
    defaults: RuntimeValues,
    schema_file: Path,
    topology: Topology,
    connection: metadata_store_pb2.ConnectionConfig,
) -> Pipeline:
    """All nodes of the pipeline, wired.

    Args:
        config: that is compiled.
        defaults: what the runtime parameters are when a run sets nothing.
        schema_file: the curated TFDV schema with the model's classes filled in.
        topology: has the hashes of code and model that the cache is keyed by.
        connection: to ML Metadata.

    Returns:
        The pipeline.

    """
    values = {
        name: RuntimeParameter(name, type(value), value) for name, value in vars(defaults).items()
    }
    label_map = str(config.label_map_path)
    new_classes = json.dumps(dict(config.new_classes))

    def code(component: type[base_component.BaseComponent]) -> str:
        """The hash of what a component can read, for its module is that of its class."""
        return topology.code[component.__module__]

    snapshot = DatasetSnapshot(
        sources=config.source_records,
        root=str(config.data_root),
        memory=str(config.work / "memory"),
        serving_dir=str(config.serving),
        beam_options=json.dumps(config.beam),
        renamed=json.dumps(dict(config.label_map.renamed)),
        droppable=config.droppable,
        classes=json.dumps(list(config.label_map)),
        new_classes=new_classes,
        fingerprint=values["fingerprint"],
        code_version=code(DatasetSnapshot),
    )
    validator = DataValidator(
        snapshot=snapshot.outputs["snapshot"],
        label_map=label_map,
        new_classes=new_classes,
        target=values["target"],
        min_target_boxes=config.min_target_boxes,
        serving_dir=str(config.serving),
        report_dir=str(config.work / "validation"),
        kept=str(config.work / "copies"),
        code_version=code(DataValidator),
    )
    example_gen = RebalancedExampleGen(
        snapshot=snapshot.outputs["snapshot"],
        validation=validator.outputs["validation"],
        label_map=label_map,
        new_classes=new_classes,
        rebalancing=values["rebalancing"],
        beam_options=json.dumps(config.beam),
        code_version=code(RebalancedExampleGen),
    )
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples)
    schema_gen = ImportSchemaGen(schema_file=str(schema_file))
    example_validator = ExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]
    )
    resolver = ChampionResolver(
        serving_dir=str(config.serving),
        pretrained=str(config.model),
        pretrained_hash=topology.model_hash,
        backend=config.backend,
        new_classes=new_classes,
        served=values["served"],
        code_version=code(ChampionResolver),
    )
    champion = resolver.outputs["champion"]
    for node in (schema_gen, resolver):  # so that bad data stop the run before any other work
        node.add_upstream_node(validator)
    detect = partial(
        BulkDetect,
        examples=examples,
        beam_options=json.dumps(config.beam),
        code_version=code(BulkDetect),
    )
    answers = str(config.work / "answers")
    champion_detect = detect(model=champion, study=1, kept=answers).with_id("ChampionDetect")
    champion_detect.add_upstream_node(example_validator)  # nothing is spent on broken examples
    diagnoser = ClassDiagnoser(
        examples=examples,
        champion=champion,
        champion_predictions=champion_detect.outputs["predictions"],
        target=values["target"],
        precision=values["precision"],
        operating_points=values["operating_points"],
        overrides=values["overrides"],
        relabel_page=str(config.work / "relabel.html"),
        code_version=code(ClassDiagnoser),
    )
    trainer = Trainer(
        run_fn=f"{TRAINER}.run_fn",  # by path: nothing is packaged for each run
        examples=examples,
        base_model=champion,
        hyperparameters=diagnoser.outputs["recipe"],
        custom_config=values["trainer_config"],
    )
    challenger_detect = detect(model=trainer.outputs["model"], study=0, kept="")
    challenger_detect = challenger_detect.with_id("ChallengerDetect")
    gate = RecallGate(
        examples=examples,
        snapshot=snapshot.outputs["snapshot"],
        diagnosis=diagnoser.outputs["diagnosis"],
        champion=champion,
        challenger=trainer.outputs["model"],
        champion_predictions=champion_detect.outputs["predictions"],
        challenger_predictions=challenger_detect.outputs["predictions"],
        target=values["target"],
        settings=values["gate"],
        metadata=json_format.MessageToJson(connection, indent=None),
        code_version=code(RecallGate),
    )
    serving_check = ServingCheck(
        model=trainer.outputs["model"],
        snapshot=snapshot.outputs["snapshot"],
        code_version=code(ServingCheck),
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=gate.outputs["blessing"],
        infra_blessing=serving_check.outputs["blessing"],
        evaluation=gate.outputs["evaluation"],
        champion=champion,
        snapshot=snapshot.outputs["snapshot"],
        push_destination=PushDestination(
            filesystem=PushDestination.Filesystem(base_directory=str(config.serving))
        ),
        pretrained=str(config.model),
        backend=config.backend,
        mirror=str(config.mirror.folder),
    )
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(config.work / PIPELINE_ROOT),
        components=[
            snapshot,
            validator,
            example_gen,
            statistics_gen,
            schema_gen,
            example_validator,
            resolver,
            champion_detect,
            diagnoser,
            trainer,
            challenger_detect,
            gate,
            serving_check,
            pusher,
        ],
        enable_cache=True,
        metadata_connection_config=connection,
        beam_pipeline_args=for_tfx(config.beam),
    )
