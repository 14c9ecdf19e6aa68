"""Writes the secrets of docker-compose.yml to `.env`; what stands there is kept.

    python3 docker/make_secrets.py

Needs a system Python 3.8 or newer and nothing else. A secret is made anew when its line is removed.
"""

import base64
import os
import re
import secrets
import sys
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / ".env"
MAKERS = {
    "AIRFLOW_DB_PASSWORD": lambda: secrets.token_hex(32),
    "METADATA_DB_PASSWORD": lambda: secrets.token_hex(32),
    "REDIS_PASSWORD": lambda: secrets.token_hex(32),
    "FERNET_KEY": lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    "JWT_SECRET": lambda: secrets.token_hex(64),  # Airflow signs with HS512: 64 bytes or more
    "API_SECRET_KEY": lambda: secrets.token_hex(32),
    "ADMIN_PASSWORD": lambda: secrets.token_urlsafe(16),
    # no secrets:
    "COMPOSE_PROFILES": lambda: "cpu",  # `gpu` on a host that has one
    "WORKER_MEMORY": lambda: "8g",  # the most that a worker with its nodes takes, and TF Serving
}


def main() -> int:
    """Adds what is missing; returns the exit code."""
    text = FILE.read_text() if FILE.exists() else ""
    missing = [name for name in MAKERS if not re.search("^" + name + "=.", text, re.MULTILINE)]
    lines = [name + "=" + MAKERS[name]() + "\n" for name in missing]
    if text and not text.endswith("\n"):
        lines.insert(0, "\n")
    descriptor = os.open(FILE, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "w") as file:
        os.fchmod(descriptor, 0o600)  # before a secret is in it
        file.writelines(lines)
    print("classlift: {} of {} values were added to {}.".format(len(missing), len(MAKERS), FILE))
    print("The password of the user `admin` is ADMIN_PASSWORD in it.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
