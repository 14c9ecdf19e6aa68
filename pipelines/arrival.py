"""Tells Airflow that labels have arrived: its DAG starts, if nothing of that config runs yet."""

import json
import os
import urllib.error
import urllib.parse
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from classlift.environment import PASSWORD_VARIABLE, USER_VARIABLE
from classlift.errors import ConfigError
from pipelines.airflow import passwords_file

TIMEOUT = 30  # seconds


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows nothing: another address would get the token."""

    def http_error_302(self, *_: Any) -> None:
        """Leaves the answer as it is, which is then an error."""

    http_error_301 = http_error_303 = http_error_302  # type: ignore[assignment]
    http_error_307 = http_error_308 = http_error_302  # type: ignore[assignment]


def raise_event(name: str, url: str, note: str | None, home: Path) -> None:
    """Raises the asset event `labels/<name>` through Airflow's REST API.

    Args:
        name: of the config.
        url: of Airflow.
        note: shown beside the event, and no more.
        home: of the Airflow that `make airflow` starts; its password for `admin` is taken where the
            environment names no user.

    Raises:
        ConfigError: Airflow can't be reached, refuses, or does not know the config.

    """
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"--url {url[:200]}: it must begin with http:// or https://.")
    url = url.rstrip("/")
    token = _ask(f"{url}/auth/token", body=_login(home))["access_token"]
    label = f"labels/{name}"
    query = urllib.parse.urlencode({"name_pattern": label})
    assets = _ask(f"{url}/api/v2/assets?{query}", token)["assets"]
    found = [asset["id"] for asset in assets if asset["name"] == label]
    if not found:
        raise ConfigError(
            f"{url}: Airflow has no asset {label}; compile the config and wait until the UI shows "
            f"the DAG classlift_retrain_{name}."
        )
    extra = {"note": note} if note else {}
    _ask(f"{url}/api/v2/assets/events", token, {"asset_id": found[0], "extra": extra})


def _login(home: Path) -> dict[str, str]:
    user, password = os.environ.get(USER_VARIABLE), os.environ.get(PASSWORD_VARIABLE)
    if user and password:
        return {"username": user, "password": password}
    try:
        return {
            "username": "admin",
            "password": json.loads(passwords_file(home).read_text())["admin"],
        }
    except (OSError, KeyError, ValueError):
        raise ConfigError(
            f"Airflow is told in the name of one of its users: set {USER_VARIABLE} and "
            f"{PASSWORD_VARIABLE}, or start an Airflow of this checkout with `classlift airflow`."
        ) from None


def _ask(url: str, token: str | None = None, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data)  # noqa: S310, checked above
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=TIMEOUT) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(300).decode("utf-8", "replace")
        if 300 <= error.code < 400:
            place = repr(error.headers.get("Location") or "")[:200]
            raise ConfigError(
                f"{url}: it answered with status {error.code}, a redirect to {place}; none is "
                "followed, for your login would go there: give the final address as --url."
            ) from None
        for secret in _secrets(token, body):  # an answer may repeat what it was asked
            said = said.replace(secret, "***")
        raise ConfigError(f"{url}: Airflow refused ({error.code}): {said}") from None
    except (OSError, ValueError, HTTPException) as error:
        raise ConfigError(f"{url}: Airflow can't be reached ({error}); is it running?") from None


def _secrets(token: str | None, body: Any) -> list[str]:
    """What of a request no message may hold."""
    password = body.get("password") if isinstance(body, dict) else None
    return [secret for secret in (token, password) if secret]
