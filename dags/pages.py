"""What the pages on Airflow's own server share."""

from __future__ import annotations

from urllib.parse import urlsplit

from airflow.configuration import conf

BASE = urlsplit(conf.get("api", "base_url", fallback="")).path.rstrip("/")
"""The path of Airflow on its host."""


def headers(policy: str) -> dict[str, str]:
    """The headers of a page: names from data are in it, so no script runs and nothing is fetched.

    Args:
        policy: what its content may do beyond nothing.

    Returns:
        The headers.

    """
    return {
        "Content-Security-Policy": f"{policy}; default-src 'none'; style-src 'unsafe-inline'",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "private, no-cache",
    }
