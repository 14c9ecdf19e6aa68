"""The values of a run's parameters: the config's, and those that the run sets."""

from classlift import gpus
from classlift.environment import PARAMETERS_VARIABLE
from classlift.errors import ConfigError
from classlift.reading import parse_json
from classlift.settings.field import Values
from pipelines.parameters import check
from pipelines.topology import Topology


def run_values(topology: Topology, text: str) -> Values:
    """The values of all run parameters: the config's, replaced by those of the run.

    Args:
        topology: of the compiled config.
        text: a JSON object; empty for none.

    Returns:
        The values by name.

    Raises:
        ConfigError: it is not JSON, a name is unknown, or a value is wrong.

    """
    given = parse_json(text or "{}", PARAMETERS_VARIABLE, ConfigError)
    if not isinstance(given, dict):
        raise ConfigError(f"{PARAMETERS_VARIABLE} must be a JSON object of parameters.")
    check(given, topology.parameters)
    return {**topology.defaults, **given}


def require_gpu(values: Values) -> None:
    """Raises ConfigError for a run that is to train on a GPU where there is none."""
    if values.get("device") == "gpu" and not values.get("recalibrate") and not gpus.count():
        raise ConfigError(f"`device` is gpu, and {gpus.ADVICE}.")
