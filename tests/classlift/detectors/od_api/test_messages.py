"""The OD API's messages, made from their descriptions, against its own modules as they stand."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

SAY = """
import ctypes, importlib, json, pkgutil, sys
from google.protobuf.internal import api_implementation
if sys.argv[1] == "upb":
    from classlift.detectors.od_api import messages
    messages.install()
from object_detection import protos

def default(field):  # 32 bits, which the pure-Python way keeps to for all but defaults
    is_float = field.type == field.TYPE_FLOAT and not field.is_repeated
    return ctypes.c_float(field.default_value).value if is_float else field.default_value

def fields(message):
    own = [
        [f.name, f.number, f.type, f.is_repeated, f.is_required, default(f)]
        for f in message.fields
    ]
    return [message.full_name, own, [fields(nested) for nested in message.nested_types]]

found = {}
for _, name, _ in pkgutil.iter_modules(protos.__path__):
    module = vars(importlib.import_module(f"object_detection.protos.{name}"))
    described = module["DESCRIPTOR"]
    found[name] = {
        "messages": {k: fields(module[k]().DESCRIPTOR) for k in described.message_types_by_name},
        "numbers": {k: v for k, v in module.items() if isinstance(v, int)},
        "enums": {k: module[k].items() for k in described.enum_types_by_name},
    }
print(json.dumps([api_implementation.Type(), found]))
"""


def test_each_module_is_what_the_od_api_generated():
    ways = {}
    for name in ("python", "upb"):
        environment = {**os.environ, "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": name}
        result = subprocess.run(
            [sys.executable, "-c", SAY, name],
            cwd=Path(__file__).resolve().parents[4],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        used, ways[name] = json.loads(result.stdout)
        assert used == name
    assert len(ways["upb"]) > 30
    assert ways["upb"] == ways["python"]
