"""What a folder of a model is, told before anything heavy is imported."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from classlift.data.label_map import COCO, LabelMap
from classlift.detectors.backends import backend_of, label_map_of, require_model
from classlift.detectors.od_api.outline import Outline, find_checkpoint, read_outline
from classlift.errors import ClassLiftError, DataError, ModelError
from tests.classlift.conftest import DEMO_MODEL
from tests.project import ROOT, plain_shell

pytestmark = pytest.mark.unit

ZOO = ROOT.parent / "shared" / "zoo" / "configs"
INDEX, SHARD = "ckpt-0.index", "ckpt-0.data-00000-of-00001"


def ssd(extractor: str, rest: str = "num_classes: 90") -> str:
    return f"model {{ ssd {{ feature_extractor {{ type: '{extractor}' }} {rest} }} }}"


def rcnn(extractor: str, rest: str = "num_classes: 90") -> str:
    return f"model {{ faster_rcnn {{ feature_extractor {{ type: '{extractor}' }} {rest} }} }}"


BOXES = "object_detection_task { }"


def center(tasks: str, extractor: str = "hourglass_104") -> str:
    return (
        f"model {{ center_net {{ feature_extractor {{ type: '{extractor}' }} {tasks} "
        "num_classes: 90 } }"
    )


KEYPOINTS = """
model: <
  center_net {
    num_classes: 90
    feature_extractor { type: "hourglass_104" }
    object_detection_task { task_loss_weight: 1.0 }
    keypoint_estimation_task {
      keypoint_label_to_std { key: "left_ankle" value: 0.89 }
      loss { classification_loss { penalty_reduced_logistic_focal_loss { alpha: 2.0 } } }
    }
  }
>
"""


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (center(""), "a CenterNet without boxes can't be fine-tuned"),
        (center(f"{BOXES} mask_estimation_task {{ }}"), "a CenterNet with masks can't be"),
        (center(f"{BOXES} deepmac_mask_estimation {{ }}"), "a CenterNet with masks can't be"),
        (center(f"{BOXES} track_estimation_task {{ }}"), "a CenterNet with tracks can't be"),
        (center(BOXES, "resnet_v3"), "'resnet_v3' of center_net is unknown"),
        (KEYPOINTS, "a CenterNet with keypoints can't be fine-tuned"),
        ("model { experimental_model { name: 'x' } }", "the model is experimental_model"),
        ("model { context_rcnn { } }", "describes no model"),
        ("train_config { batch_size: 2 }", "describes no model"),
        ("", "describes no model"),
        (ssd("ssd_efficientnet-b8_bifpn_keras"), "'ssd_efficientnet-b8_bifpn_keras' of ssd is"),
        (ssd("ssd_mobilenet_v1"), "'ssd_mobilenet_v1' of ssd is not one of TensorFlow 2"),
        (ssd("embedded_ssd_mobilenet_v1"), "is not one of TensorFlow 2"),
        (rcnn("faster_rcnn_resnet101"), "is not one of TensorFlow 2"),
        (ssd("faster_rcnn_resnet50_keras"), "'faster_rcnn_resnet50_keras' of ssd is unknown"),
        (ssd(""), "feature extractor ''"),
        (
            rcnn("faster_rcnn_resnet50_keras", "num_classes: 90 number_of_stages: 3"),
            "a Mask R-CNN .number_of_stages: 3. can't be fine-tuned",
        ),
        (
            rcnn("faster_rcnn_resnet50_keras", "num_classes: 90 number_of_stages: 1"),
            "a proposal network alone",
        ),
        (ssd("ssd_mobilenet_v2_keras", "num_classes: 0"), "num_classes is 0"),
        (ssd("ssd_mobilenet_v2_keras", ""), "num_classes is 0"),
        (ssd("ssd_mobilenet_v2_keras", "num_classes: -5"), "num_classes is -5"),
        (ssd("ssd_mobilenet_v2_keras", "num_classes: 2000000000"), "num_classes is 2000000000"),
        (ssd("ssd_mobilenet_v2_keras", "num_classes: 9e9"), "not a pipeline config"),
        (ssd("ssd_mobilenet_v2_keras", f"num_classes: {'9' * 5000}"), "not a pipeline config"),
        ("model { ssd {", "not a pipeline config"),
        ("model {" * 100_000, "not a pipeline config"),
        ("a: {" * 100_000, "not a pipeline config"),
        (b"model { ssd { \xff } }", "pipeline config of the OD API is not a text file in UTF-8"),
        (b"\x00" * 2_000_000, "larger than 1 MB"),
    ],
)
def test_what_cannot_be_fine_tuned_is_one_sentence(tmp_path, text, sentence):
    path = tmp_path / "pipeline.config"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ModelError, match=sentence) as error:
        read_outline(tmp_path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1000


def test_the_demos_model():
    found = read_outline(DEMO_MODEL)
    assert found == Outline("ssd", classes=10, extractor="ssd_mobilenet_v2_fpn_keras")
    require_model("od_api", DEMO_MODEL)


@pytest.mark.skipif(not ZOO.is_dir(), reason="the configs of the zoo are not there")
def test_the_configs_of_the_zoo(tmp_path):
    """Each can be fine-tuned, with COCO's classes, or ends in a sentence."""
    found = {}
    for path in sorted(ZOO.glob("*.config")):
        folder = entry(tmp_path / path.stem, path.read_text())
        try:
            require_model("od_api", folder)
            assert label_map_of("od_api", folder) == COCO
            found[path.stem] = read_outline(folder).meta_architecture
        except ModelError as error:
            found[path.stem] = str(error).partition(": a")[2].partition(" can't")[0]
    kinds = sorted(found.values())
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "faster_rcnn": 10,
        "ssd": 18,
        "center_net": 3,
        " CenterNet with keypoints": 4,
        " Mask R-CNN (number_of_stages: 3)": 1,
    }


def test_nothing_heavy_is_imported_for_it(tmp_path):
    """From a plain shell: what a command says of a model comes before what it must load."""
    folder = entry(tmp_path / "centernet", KEYPOINTS)
    code = (
        "import sys; from pathlib import Path; from classlift.detectors.backends import *\n"
        "try: require_model('od_api', Path(sys.argv[1]))\n"
        "except Exception as error: print(error, {'tensorflow', 'object_detection', 'tfx'} "
        "& set(sys.modules))"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, str(folder)],
        cwd=ROOT,
        env=plain_shell(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert "a CenterNet with keypoints can't be fine-tuned" in result.stdout
    assert result.stdout.endswith("set()\n")


def test_a_node_chooses_protobufs_implementation_before_anything_imports_it():
    code = "import sys, pipelines.run_node; print('google.protobuf' in sys.modules)"
    words = [sys.executable, "-c", code]
    found = subprocess.run(
        words, cwd=ROOT, env=plain_shell(), capture_output=True, text=True, check=True
    )
    assert found.stdout == "False\n"


def entry(folder: Path, text: str = ssd("ssd_mobilenet_v2_keras"), *names: str) -> Path:
    """A folder as the zoo's archives have them: files of a checkpoint, no label map."""
    (folder / "checkpoint").mkdir(parents=True)
    (folder / "pipeline.config").write_text(text)
    for name in names or (INDEX, SHARD):
        (folder / "checkpoint" / name).write_text("-")
    return folder


def test_a_model_of_the_zoo_brings_no_label_map(tmp_path):
    coco = entry(tmp_path / "coco")
    assert label_map_of("od_api", coco) == COCO
    require_model("od_api", coco)
    other = entry(tmp_path / "other", ssd("ssd_mobilenet_v2_keras", "num_classes: 37"))
    with pytest.raises(
        DataError, match=r"label_map.pbtxt: .* there is none: write it beside pipel"
    ):
        require_model("od_api", other)
    shutil.copy(DEMO_MODEL / "label_map.pbtxt", other / "labelmap.pbtxt")
    with pytest.raises(DataError, match=r"if .labelmap.pbtxt. is it, call it so"):
        require_model("od_api", other)


@pytest.mark.parametrize(
    ("ids", "sentence"),
    [
        (range(1, 81), "numbered without their gaps, most would be named wrongly"),
        (range(1, 92), "predicts 90 classes, its label map names 91"),
        ((1, 91), "the id 91: they must agree"),
    ],
)
def test_a_label_map_that_is_another_models(tmp_path, ids, sentence):
    folder = entry(tmp_path / "coco")
    ids = tuple(ids)
    LabelMap(tuple(f"class {i}" for i in ids), ids).write(folder / "label_map.pbtxt")
    with pytest.raises(ModelError, match=sentence):
        require_model("od_api", folder)


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ([], "there is no checkpoint .*copy it beside pipeline.config"),
        (["checkpoint/checkpoint"], "there is no checkpoint"),  # the state file alone
        (["checkpoint/ckpt-0.index"], "parts of ckpt-0.data-... are missing"),
        ([f"checkpoint/{SHARD}"], "there is no checkpoint"),
        (["checkpoint/ckpt-0.index", "checkpoint/ckpt-0.data-00000-of-00002"], "are missing"),
        (["frozen_inference_graph.pb"], "frozen_inference_graph.pb is of TensorFlow 1"),
        (
            [f"model.ckpt.{kind}" for kind in ("index", "meta", "data-00000-of-00001")],
            "model.ckpt.data-00000-of-00001 is of TensorFlow 1",
        ),
    ],
)
def test_a_checkpoint_that_is_none(tmp_path, files, sentence):
    for name in files:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("-")
    with pytest.raises(ModelError, match=sentence):
        find_checkpoint(tmp_path)


@pytest.mark.parametrize("name", [INDEX, SHARD])
def test_an_empty_part_of_a_checkpoint(tmp_path, name):
    folder = entry(tmp_path / "entry")
    (folder / "checkpoint" / name).write_text("")
    with pytest.raises(ModelError, match=f"{name} is empty; copy it again, whole"):
        find_checkpoint(folder)


def test_checkpoints_beside_the_config_the_newest_is_taken(tmp_path, caplog):
    """As model_main_tf2 leaves them, with a state file that names paths of another machine."""
    for number in (1, 9, 10):
        for suffix in ("index", "data-00000-of-00001"):
            (tmp_path / f"ckpt-{number}.{suffix}").write_text("-")
    (tmp_path / "checkpoint").write_text('model_checkpoint_path: "/gone/ckpt-3"')
    assert find_checkpoint(tmp_path) == tmp_path / "ckpt-10"
    assert caplog.messages == [f"{tmp_path}: of 3 checkpoints the newest is taken, ckpt-10"]


def test_a_state_file_is_not_needed(tmp_path):
    folder = entry(tmp_path / "entry")
    assert find_checkpoint(folder) == folder / "checkpoint" / "ckpt-0"


@pytest.mark.parametrize("name", ["frozen_inference_graph.pb", "model.ckpt.meta"])
def test_a_folder_of_tensorflow_1_without_a_config(tmp_path, name):
    (tmp_path / name).write_text("-")
    with pytest.raises(ModelError, match=rf"{name} is of TensorFlow 1"):
        backend_of(tmp_path)


def test_a_folder_that_is_no_model(tmp_path):
    with pytest.raises(ClassLiftError, match=r"no pipeline.config, no model.keras"):
        backend_of(tmp_path)
    shutil.copy(DEMO_MODEL / "label_map.pbtxt", tmp_path)
    with pytest.raises(ModelError, match=r"there is no pipeline\.config"):
        require_model("od_api", tmp_path)
