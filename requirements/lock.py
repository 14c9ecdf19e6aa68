"""Compiles the locks: pins with hashes, and no address of any index.

python3 requirements/lock.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import install

HERE = Path(__file__).resolve().parent
OVERRIDES = {"ml": HERE / "ml-overrides.txt"}


def main() -> int:
    """Writes every lock; returns the exit code."""
    uv = install.find_uv()
    for name in ("uv", *install.LOCKS):
        install.say("locking requirements/{}.in".format(name))
        command = [uv, "pip", "compile", "--quiet", "--no-header", "--generate-hashes", "--upgrade"]
        command += ["--no-emit-index-url", "--no-emit-find-links"]
        command += ["--python-version", install.PYTHON]
        command += ["--python-platform", "x86_64-manylinux_2_28"]
        if name in OVERRIDES:
            command += ["--override", OVERRIDES[name]]
        install.run([*command, HERE / (name + ".in"), "--output-file", HERE / (name + ".txt")])
    return 0


if __name__ == "__main__":
    sys.exit(main())
