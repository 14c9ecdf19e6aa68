"""What README.md, the pages of docs/ and `--help` tell a user to type: the shell reads it, the
parsers take it, and what it names is there or is plainly an example.
"""

import argparse
import itertools
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from PIL import Image

from classlift import cli
from classlift.data.label_map import LabelMap
from pipelines.config import load_config
from pipelines.parameters import PARAMETERS

pytestmark = pytest.mark.unit
ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
ALL = "\n".join(page.read_text("utf-8") for page in PAGES)
PROGRAMS = ("classlift", "make", "docker", ".venv/ml/bin/python", ".venv/ml/bin/tensorboard")
ACTIVATE = ".venv/ml/bin/activate"
MENTION = re.compile("classlift ([a-z][a-z-]*)")
"""A command that is named in running text."""

EXAMPLES = {
    "scooters", "ssd", "retinanet", "mine", "fresh", "label_map", "eval", "train", "streets_coco",
}  # fmt: skip
"""Words in the names of the user's own files, configs, models and data."""

_STUB = """#!/bin/sh
printf '%s\\0' "$0" "$@" >> "$CALLS"
printf '\\n\\0' >> "$CALLS"
"""


@dataclass(frozen=True)
class Shell:
    """What a block of commands does in a real shell: the calls, and the variables it sets."""

    calls: list[list[str]]
    variables: dict[str, str]


def run_block(block: str, folder: Path) -> Shell:
    """Lets sh read a block in a plain environment, with programs that write down their calls."""
    for name in PROGRAMS:
        path = folder / (name if "/" in name else f"bin/{name}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_STUB)
        path.chmod(0o755)
    (folder / ACTIVATE).write_text(f'PATH="{folder}/.venv/ml/bin:$PATH"\n')
    calls = folder / "calls"
    calls.unlink(missing_ok=True)
    result = subprocess.run(
        ["/bin/sh", "-eu", "-c", f"{block}\nenv -0"],
        cwd=folder,
        env={
            "HOME": str(folder),
            "PATH": f"{folder}/bin:{os.environ['PATH']}",
            "CALLS": str(calls),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, f"{block}\n{result.stderr}"
    said = calls.read_text() if calls.exists() else ""
    lines = [call.rstrip("\0").split("\0") for call in said.split("\n\0") if call]
    named = [[_named(words[0]), *words[1:]] for words in lines]
    return Shell(named, dict(v.split("=", 1) for v in result.stdout.split("\0") if "=" in v))


def _named(program: str) -> str:
    return next(name for name in PROGRAMS if program.endswith(name))


def blocks(text: str) -> list[str]:
    """The indented or fenced blocks of commands, and commands in running text."""
    fenced = re.findall(r"^```(?:sh|bash)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    text = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    indented = re.findall(r"(?:^ {4}.*\n)+", text, re.MULTILINE)
    begins = tuple(f"{name} " for name in (*PROGRAMS, "export", "."))
    inline = [code for code in re.findall(r"`([^`\n]+)`", text) if code.startswith(begins)]
    inline = [code for code in inline if not MENTION.fullmatch(code)]
    stripped = [re.sub(r"^ {4}", "", block, flags=re.MULTILINE) for block in indented]
    return [*fenced, *(block for block in (*stripped, *inline) if block.startswith(begins))]


def subcommands() -> dict[str, argparse.ArgumentParser]:
    parser = cli.parser_for(cli.COMMANDS)
    [action] = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    return action.choices


def require_known(words: list[str]) -> None:
    """Fails when a command is not there, or takes no such argument."""
    program, *rest = words
    if rest == ["--help"]:
        return
    if program == "classlift":
        parsed = cli.parser_for(rest).parse_args(rest)
        for value in vars(parsed).values():
            if isinstance(value, Path) and not value.is_absolute() and not (ROOT / value).exists():
                parts = set(re.split(r"[/.]", str(value)))
                # what is read by its own, or is made by the command
                assert parts & (EXAMPLES | {"validation", "diagnosis", "judged"}) or value.suffix, (
                    words
                )
    elif program == "make":
        targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert next(word for word in rest if "=" not in word) in targets, words
    elif program == "docker":
        assert rest[0] == "compose", words
        services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        named = [word for word in rest[2:] if not word.startswith("-")]
        assert rest[1] in ("up", "exec"), words
        assert set(named[:1]) <= set(services), words
        if rest[1] == "exec":
            require_known(rest[rest.index(named[1]) :])
    elif program.endswith("python"):
        assert rest[0] == "-m", words
        assert find_spec(rest[1]), words
        if "--parameters" in rest:
            parameters = json.loads(rest[rest.index("--parameters") + 1])
            assert parameters.keys() <= PARAMETERS.keys(), words


def calls_of(page: Path, folder: Path) -> list[list[str]]:
    """Every call that the commands of a page make, each checked."""
    seen = []
    for block in blocks(page.read_text("utf-8")):
        shell = run_block(block, folder)
        for words in shell.calls:
            require_known(words)
            seen.append(words)
        for name, value in shell.variables.items():
            if name.startswith("AIRFLOW_CONN_"):
                assert json.loads(value)["conn_type"], name
    return seen


def test_every_command_of_the_pages_is_one(tmp_path):
    calls = {page: calls_of(page, tmp_path) for page in PAGES}
    seen = [words[:2] for words in itertools.chain.from_iterable(calls.values())]
    named = {m[1] for code in re.findall(r"`([^`\n]+)`", ALL) if (m := MENTION.fullmatch(code))}
    assert named <= subcommands().keys()
    used = named | {words[1] for words in seen if words[0] == "classlift"}
    assert used >= subcommands().keys() - {"compile", "airflow"}
    assert ["make", "demo"] in seen
    assert ["docker", "compose"] in seen
    assert calls[README][0][:2] == ["make", "environments"]
    assert {"validate", "diagnose", "run"} <= {w[1] for w in calls[README] if w[0] == "classlift"}


@pytest.mark.parametrize("name", sorted(subcommands()))
def test_the_example_of_each_subcommand_is_one(name, tmp_path):
    parser = subcommands()[name]
    assert parser.description
    example = re.fullmatch(r"example: (classlift .+)", parser.epilog, re.DOTALL)[1]
    [words] = run_block(example, tmp_path).calls
    assert words[1] == name
    require_known(words)
    named = [word for word in words if word.startswith("configs/")]
    assert all((ROOT / config).is_file() for config in named)
    assert example in " ".join(parser.format_help().split())  # wrapped, not cut


def test_every_target_of_make_is_explained_in_its_help():
    text = (ROOT / "Makefile").read_text()
    targets = re.findall(r"^([a-z-]+):(?!=)(.*)", text, re.MULTILINE)
    assert len(targets) > 10
    assert [name for name, rest in targets if "## " not in rest] == []
    phony = re.search(r"^\.PHONY: (.*)", text, re.MULTILINE)[1].split()
    assert {name for name, _ in targets} == set(phony)


def fragments() -> list[str]:
    """The YAML blocks of the pages, and where one shows a key several times, each of them."""
    parts = []
    for block in re.findall(r"^```yaml\n(.*?)^```", ALL, re.MULTILINE | re.DOTALL):
        keys = re.findall(r"^(\w+):", block, re.MULTILINE)
        if len(keys) == len(set(keys)):
            parts.append(block)
        else:
            parts += re.split(rf"^(?={keys[0]}:)", block, flags=re.MULTILINE)[1:]
    return parts


def test_every_piece_of_config_in_the_pages_is_valid(tmp_path):
    documents = [yaml.safe_load(text) for text in fragments()]
    wholes = [document for document in documents if "name" in document]
    assert [whole["name"] for whole in wholes] == ["scooters"] * 2  # of the README, of the tutorial
    LabelMap(("scooter", "bike")).write(tmp_path / "label_map.pbtxt")
    (tmp_path / "model.keras").write_bytes(b"-")  # a config does not look into it
    seen = set()
    for whole in wholes:
        whole["model"] = {"path": str(tmp_path), "backend": "keras_hub"}
        for part in ({}, *(document for document in documents if "name" not in document)):
            seen |= whole.keys() | part.keys()
            path = tmp_path / "scooters.yaml"
            path.write_text(yaml.safe_dump({**whole, **part}))
            load_config(path)
    assert seen >= {"recipe", "rebalancing", "beam", "airflow", "watch", "retention", "gate"}


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings get."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    words = [
        re.sub(r"[^\w\- ]", "", h.lower()) for h in re.findall(r"^#+ (.+)", text, re.MULTILINE)
    ]
    return {heading.strip().replace(" ", "-") for heading in words}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_link_of_a_page_leads_somewhere(page):
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        path = (page.parent / name).resolve() if name else page
        assert path.exists(), link
        assert path.is_relative_to(ROOT), link
        if anchor:
            assert anchor in anchors(path), link


def test_every_page_is_listed():
    index = (ROOT / "docs" / "README.md").read_text("utf-8")
    pages = [path for end in ("md", "ipynb") for path in (ROOT / "docs").rglob(f"*.{end}")]
    names = {path.relative_to(ROOT / "docs").as_posix() for path in pages}
    assert names - set(re.findall(r"\]\(([^)#]+)", index)) == {"README.md", "reference/README.md"}


def test_the_readme_is_a_page():
    assert len(README.read_text("utf-8").splitlines()) <= 150


def test_a_command_that_is_none_is_answered_with_the_nearest(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["classlift", "rnu", "--config", "x"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 2
    assert "there is no command 'rnu' (did you mean 'run'?); there are: " in capsys.readouterr().err


@pytest.fixture
def labels(tmp_path) -> Path:
    """One image, and a class whose name is in no encoding but Unicode's."""
    Image.effect_noise((64, 64), 50).convert("RGB").save(tmp_path / "bild_ä.png")
    document = {
        "images": [{"id": 1, "file_name": "bild_ä.png", "width": 64, "height": 64}],
        "categories": [{"id": 1, "name": "Straßenbahn 電車"}],
        "annotations": [{"id": i, "image_id": 1, "category_id": 1, "bbox": [2, 2, 30, 30]}
                        for i in (1, 2)],
    }  # fmt: skip
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    return tmp_path / "annotations.json"


@pytest.mark.parametrize(
    "shell",
    [
        {},
        {
            "LC_ALL": "C",
            "PYTHONCOERCECLOCALE": "0",
            "PYTHONIOENCODING": "ascii",
            "PYTHONUTF8": "0",
            "PYTHONPATH": "/nowhere",
            "KERAS_BACKEND": "torch",
        },
    ],
    ids=["plain", "odd"],
)
def test_commands_run_from_any_folder_in_any_shell(labels, tmp_path, shell):
    """Without HOME, without a locale, through a link, from another folder."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "classlift").symlink_to(Path(sys.executable).with_name("classlift"))
    for words, code, said in (
        (["convert", "../annotations.json", "--to", "coco", "copy"], 0, "2 boxes"),
        (["report", "--config", "wo_ist_電車.yaml"], 78, "classlift: wo_ist_"),
    ):
        result = subprocess.run(
            ["../classlift", *words],
            cwd=elsewhere,
            env={"PATH": os.environ["PATH"], **shell},
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        assert result.returncode == code, result.stderr
        assert said in result.stdout + result.stderr
        assert "Traceback" not in result.stderr
    copied = json.loads((elsewhere / "copy" / "annotations.json").read_text("utf-8"))
    assert copied["categories"][0]["name"] == "Straßenbahn 電車"
