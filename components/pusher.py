"""The TFX Pusher, with a push of its own."""

import json
import os
from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.pusher import executor
from tfx.dsl.components.base import base_component, executor_spec
from tfx.proto import pusher_pb2
from tfx.types import artifact_utils, component_spec, standard_artifacts, standard_component_specs
from tfx.utils import path_utils, proto_utils

from classlift.data.mirror import Mirror
from classlift.environment import APPROVAL_VARIABLE, RUN_VARIABLE
from classlift.errors import PipelineError
from classlift.gate.push import Origin, push, read_approval
from classlift.serving.bundle import Bundle
from classlift.serving.manifest import EXPORT_PROPERTY
from classlift.serving.places import serving_place
from components import artifacts

EVALUATION, CHAMPION, SNAPSHOT = "evaluation", "champion", "snapshot"


class PusherSpec(standard_component_specs.PusherSpec):  # type: ignore[misc]  # TFX has no types
    """TFX's, and what says what is pushed: the evaluation, and the model and data of its making."""

    INPUTS = {  # noqa: RUF012, as TFX declares it
        **standard_component_specs.PusherSpec.INPUTS,
        EVALUATION: component_spec.ChannelParameter(type=standard_artifacts.ModelEvaluation),
        CHAMPION: component_spec.ChannelParameter(type=standard_artifacts.Model),
        SNAPSHOT: component_spec.ChannelParameter(type=artifacts.Snapshot),
    }


class Executor(executor.Executor):  # type: ignore[misc]  # TFX has no types
    """TFX's Pusher, but for how the model gets into the serving folder.

    TFX copies file by file into a folder whose number is the time: what interrupts it leaves half a
    version, and a higher number that is there makes it push what is never served.
    """

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model where both blessings are there and the champion is still served.

        Args:
            input_dict: the model, its evaluation and its two blessings; the champion and the
                snapshot, for a model of which a part is left out.
            output_dict: the pushed model, which gets the version's properties.
            exec_properties: the push destination, the pre-trained model, the backend, the mirror.

        Raises:
            PipelineError: a blessing is not there at all.
            ClassLiftError: as `push`.

        """
        pushed = artifact_utils.get_single_instance(
            output_dict[standard_component_specs.PUSHED_MODEL_KEY]
        )
        Path(pushed.uri).mkdir(parents=True, exist_ok=True)  # empty: the version itself is kept
        for key in (
            standard_component_specs.MODEL_BLESSING_KEY,
            standard_component_specs.INFRA_BLESSING_KEY,
        ):
            if not input_dict.get(key):  # TFX would push without
                raise PipelineError(f"There is no {key}; what nobody judged is never pushed.")
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        [infra_blessing] = input_dict[standard_component_specs.INFRA_BLESSING_KEY]
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(
            exec_properties[standard_component_specs.PUSH_DESTINATION_KEY], destination
        )
        config = json.loads(exec_properties[standard_component_specs.CUSTOM_CONFIG_KEY])
        place = serving_place(
            Path(destination.filesystem.base_directory), Mirror(Path(config["mirror"]))
        )
        evaluation, champion, snapshot = (
            artifact_utils.get_single_instance(input_dict[name]).uri
            for name in (EVALUATION, CHAMPION, SNAPSHOT)
        )
        folder = push(
            Path(self.GetModelPath(input_dict)),
            Path(evaluation),
            place,
            Path(config["pretrained"]),
            os.environ[RUN_VARIABLE],
            read_approval(os.environ.get(APPROVAL_VARIABLE)),
            infra_blessing.get_string_custom_property(EXPORT_PROPERTY) or None,
            Origin(
                Path(path_utils.serving_model_path(champion)), config["backend"], Path(snapshot)
            ),
        )
        self._MarkPushed(pushed, pushed_destination=str(folder), pushed_version=folder.name)
        kept = Bundle(folder).provenance().approval
        for name, value in kept.record().items() if kept else ():
            pushed.set_string_custom_property(f"approval_{name}", value)


class Pusher(base_component.BaseComponent):  # type: ignore[misc]  # TFX has no types
    """The node: TFX's interface, and what says what is pushed.

    Args:
        pretrained: folder of the model that is the champion before the first push.
        backend: of the models.
        mirror: folder of what is mirrored of object storage, where versions may be served from.

    """

    SPEC_CLASS = PusherSpec
    EXECUTOR_SPEC = executor_spec.ExecutorClassSpec(Executor)

    def __init__(
        self,
        model: types.BaseChannel,
        model_blessing: types.BaseChannel,
        infra_blessing: types.BaseChannel,
        evaluation: types.BaseChannel,
        champion: types.BaseChannel,
        snapshot: types.BaseChannel,
        push_destination: pusher_pb2.PushDestination,
        pretrained: str,
        backend: str,
        mirror: str,
    ) -> None:
        spec = PusherSpec(
            model=model,
            model_blessing=model_blessing,
            infra_blessing=infra_blessing,
            evaluation=evaluation,
            champion=champion,
            snapshot=snapshot,
            push_destination=push_destination,
            custom_config=json.dumps(
                {"pretrained": pretrained, "backend": backend, "mirror": mirror}
            ),
            pushed_model=types.Channel(type=standard_artifacts.PushedModel),
        )
        super().__init__(spec=spec)
