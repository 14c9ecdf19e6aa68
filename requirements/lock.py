"""Compiles the locks: pins with hashes, and no address of any index.

python3 requirements/lock.py
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import install

HERE = Path(__file__).resolve().parent
# dev is what ml.txt has not; ml-gpu is ml.txt and what it adds
NAMES = ("uv", "compose", "s3", "airflow", "ml", "dev", "ml-gpu")
OVERRIDES = {
    "ml": ["ml-overrides.txt"],
    "ml-gpu": ["ml-overrides.txt", "ml-gpu-overrides.txt"],
}


def main() -> int:
    """Writes every lock; returns the exit code."""
    uv = install.find_uv()
    os.chdir(HERE)  # the locks name files without folders
    for name in NAMES:
        install.say("locking requirements/{}.in".format(name))
        command = [uv, "pip", "compile", "--quiet", "--no-header", "--generate-hashes", "--upgrade"]
        command += ["--no-emit-index-url", "--no-emit-find-links"]
        command += ["--python-version", install.PYTHON]
        command += ["--python-platform", "x86_64-manylinux_2_28"]
        for overrides in OVERRIDES.get(name, []):
            command += ["--override", overrides]
        install.run([*command, name + ".in", "--output-file", name + ".txt"])
    return 0


if __name__ == "__main__":
    sys.exit(main())
