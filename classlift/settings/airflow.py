"""The settings of what Airflow does around the nodes: when runs start, who hears of them."""

from dataclasses import dataclass

from classlift.settings.field import setting

SECTION = "Push"


def _cron_field(number: str) -> str:
    """The pattern of one field of a cron line, whose numbers have the pattern `number`."""
    part = rf"(\*|({number})(-({number}))?)(/[1-9][0-9]?)?"
    return f"{part}(,{part})*"


_MINUTE, _HOUR = "[1-5]?[0-9]", "1?[0-9]|2[0-3]"
_DAY = "[1-9]|1[0-9]|2[0-8]"  # that every month has: one that never comes is an error in Airflow
_MONTH, _WEEKDAY = "[1-9]|1[0-2]", "[0-7]"
CRON = f"^{' '.join(map(_cron_field, (_MINUTE, _HOUR, _DAY, _MONTH, _WEEKDAY)))}$"
"""A cron line of five fields, in numbers; a wrong one would break the DAG."""


@dataclass(frozen=True)
class AirflowSettings:
    """What the DAGs of a config need to know; none of it changes the result of a run."""

    owner: str = setting(
        "classlift",
        "Owner",
        "The owner of the DAGs.",
        pattern="^[^,]+$",
        max_length=100,
        examples=("classlift",),
    )
    cron: str | None = setting(
        None,
        "Cron",
        "When a run starts by itself: minute, hour, day, month and weekday, in UTC.",
        unset="never by itself",
        pattern=CRON,
        examples=("0 3 * * 1",),
    )
    clean_cron: str | None = setting(
        None,
        "Cron of cleaning",
        "When what old runs left is removed, as `retention` says: minute, hour, day, month and "
        "weekday, in UTC.",
        unset="never by itself",
        pattern=CRON,
        examples=("0 3 * * 1",),
    )
    min_new_objects: int = setting(
        1,
        "New objects",
        "New objects of the target class without which a run that nobody started ends early.",
        unit="objects",
        minimum=0,
    )
    approve_before_push: bool | None = setting(
        None,
        "Approve before the push",
        "A person is asked in Airflow's UI, also where the gate says push.",
        section=SECTION,
        unset="where the gate leaves it open",
    )
    email: tuple[str, ...] = setting(
        (),
        "Mail",
        "Addresses that are told how runs end.",
        pattern="^[^@]+@[^@]+$",
        examples=("team@example.com",),
    )
    webhook: bool = setting(
        False,
        "Webhook",
        "Whether Airflow's connection `classlift_webhook` is told how runs end.",
    )
