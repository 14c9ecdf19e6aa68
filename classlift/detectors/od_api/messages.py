"""The OD API's protobuf messages, for today's protobuf.

Its `_pb2` modules call what protobuf's C implementation refuses. The pure-Python one takes them,
but then all graphs that TensorFlow traces, writes and reads go through Python as well: half of the
time of a short run. What a module describes stands in it, serialized; here it is made from that,
by what the modules call that a protoc of today generates.
"""

import atexit
import gc
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import ModuleType

from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.internal import builder

PACKAGE = "object_detection.protos."


class Loader(SourceFileLoader):
    """Makes a `_pb2` module from the description in its code, which is not run."""

    def exec_module(self, module: ModuleType) -> None:
        """Fills the module, once those that its messages name are imported."""
        code = self.get_code(module.__name__)
        constants = code.co_consts if code else ()
        serialized = max((c for c in constants if isinstance(c, bytes)), key=len)
        for needed in descriptor_pb2.FileDescriptorProto.FromString(serialized).dependency:
            importlib.import_module(needed.replace("/", ".").removesuffix(".proto") + "_pb2")
        described = descriptor_pool.Default().AddSerializedFile(serialized)
        content = vars(module)
        content["DESCRIPTOR"] = described
        builder.BuildMessageAndEnumDescriptors(described, content)
        builder.BuildTopDescriptorsAndMessages(described, module.__name__, content)


class Finder(MetaPathFinder):
    """Finds the OD API's `_pb2` modules, and leaves all others to Python."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Returns the spec of a `_pb2` module of the OD API; None for any other."""
        if not (fullname.startswith(PACKAGE) and fullname.endswith("_pb2")):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None:
            spec.loader = Loader(fullname, spec.origin)
        return spec


def install() -> None:
    """Lets the imports that follow make the OD API's messages so; once is enough."""
    if not any(isinstance(finder, Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, Finder())
        # The OD API's losses keep repeated fields of its messages. One that only Python's very last
        # collection would free crashes the process, for protobuf 6.33 is gone by then.
        atexit.register(gc.freeze)
