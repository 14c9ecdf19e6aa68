"""`classlift validate` on real and on damaged data."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.pipeline
ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared" / "data"


def validate(path: Path, report: Path, *options: str) -> subprocess.CompletedProcess:
    words = ["classlift", "validate", str(path), "--report", str(report), *options]
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")
def test_real_voc_data_pass(tmp_path):
    label_map = str(SHARED / "hardhat" / "label_map.pbtxt")
    result = validate(SHARED / "hardhat", tmp_path / "report", "--label-map", label_map)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "181 images, 668 boxes, 0 critical findings" in result.stdout
    assert (tmp_path / "report" / "report.html").exists()


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data sets are not here")
def test_damaged_voc_data_are_named(tmp_path):
    data = tmp_path / "hardhat"
    shutil.copytree(SHARED / "hardhat" / "annotations", data / "annotations")
    shutil.copytree(SHARED / "hardhat" / "images", data / "images")
    xml = data / "annotations" / "hard_hat_workers2.xml"
    xml.write_text(xml.read_text().replace("<xmax>325</xmax>", "<xmax>825</xmax>"))
    result = validate(data, tmp_path / "report", "--json")
    assert result.returncode == 78
    (finding,) = [f for f in json.loads(result.stdout) if f["severity"] == "critical"]
    assert finding["rule"] == "a box lies inside its image"
    assert finding["fault"] == "1 box leaves its image"
    (place,) = finding["where"]
    assert "xmax 825, " in place
    assert "width 416, height 415 in hardhat/hard_hat_workers2.xml object 1 (hardhat/" in place
    assert finding["fix"] == "clips boxes to their image"


def test_a_path_without_labels_is_a_sentence(tmp_path):
    result = validate(tmp_path, tmp_path / "report")
    assert result.returncode == 78
    assert "no labels that can be read" in result.stderr
    assert "Traceback" not in result.stderr
