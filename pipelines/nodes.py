"""The table of nodes: what runners, DAGs and readers of ML Metadata know of each beyond TFX's IR.

Only this module and `pipelines.pipeline`, which wires the components, know a node by its id.
"""

from dataclasses import dataclass

from pipelines import hooks

LIGHT, TENSORFLOW, DETECTOR = "light", "tensorflow", "detector"
"""Profiles of a node's work: without TensorFlow, with it, and with it as the backend needs it."""

PLAIN, REPORT, PUSH = "plain", "report", "push"
"""What Airflow makes of a node: a task; one with a button that opens the report; the push, before
which a person may be asked."""

REFUSED, PUSHED = "refused", "pushed"
"""Events of which people are told when a node ended well."""


@dataclass(frozen=True)
class Node:
    """One node of the pipeline.

    Attributes:
        id: as the pipeline calls it.
        profile: which libraries its work imports, one of the above.
        uses_beam: whether it imports Apache Beam, too.
        phase: the group that Airflow's UI shows it in.
        about: what the UI says of it, in Markdown.
        on_gpu: whether it is faster with a GPU; then it waits in the queue of its worker.
        hours: after which Airflow ends it.
        operator: what Airflow makes of it, one of the above.
        tells: the event that people are told of when it ended well.
        needs_new_labels: whether a run that nobody started ends before it where too little is new.
        blesses: whether nothing is pushed without its blessing, and a person is asked only after
            it.
        looks: run just before it starts; returns runtime parameters that its cache is keyed by.
        ended: run after it ended well; returns the exit code.

    """

    id: str
    profile: str
    phase: str
    about: str
    uses_beam: bool = False
    on_gpu: bool = False
    hours: int = 6
    operator: str = PLAIN
    tells: str | None = None
    needs_new_labels: bool = False
    blesses: bool = False
    looks: hooks.Looks = hooks.at_nothing
    ended: hooks.Ended = hooks.nothing_more

    @property
    def heavy_imports(self) -> set[str]:
        """Names of what its work imports for seconds, as `pipelines.imports` knows them."""
        beam = {"apache_beam"} if self.uses_beam else set()
        return beam if self.profile == LIGHT else {*beam, "tensorflow"}


SNAPSHOT = Node(
    id="DatasetSnapshot",
    profile=LIGHT,
    phase="data",
    uses_beam=True,
    about="Reads all labels and images into tables with one hash.",
    looks=hooks.at_sources,
)
TRAINING = Node(
    id="Trainer",
    profile=DETECTOR,
    phase="train",
    uses_beam=True,
    about="Trains the challenger as the recipe says; resumes if killed.",
    on_gpu=True,
    hours=48,
)
GATE = Node(
    id="RecallGate",
    profile=LIGHT,
    phase="gate",
    about="Compares both models class by class and gives the verdict: push, refuse or "
    "inconclusive.",
    operator=REPORT,
    tells=REFUSED,
    blesses=True,
    ended=hooks.publish_evaluation,
)
SERVING_CHECK = Node(
    id="ServingCheck",
    profile=LIGHT,
    phase="gate",
    about="Loads the export in a clean process and asks it for answers.",
    blesses=True,
)
PUSHER = Node(
    id="Pusher",
    profile=LIGHT,
    phase="push",
    about="Serves the blessed model: a checked copy, whole or not at all.",
    operator=PUSH,
    tells=PUSHED,
    ended=hooks.say_what_was_pushed,
)

NODES = (
    SNAPSHOT,
    Node(
        id="DataValidator",
        profile=LIGHT,
        phase="data",
        about="Checks boxes, images and splits; what is critical stops the run. "
        "`WORK/validation/report.html` shows the findings.",
        needs_new_labels=True,
    ),
    Node(
        id="RebalancedExampleGen",
        profile=LIGHT,
        phase="data",
        uses_beam=True,
        about="Writes tf.Examples: `train` rebalanced, `eval` and `test` as they are.",
    ),
    Node(
        id="StatisticsGen",
        profile=TENSORFLOW,
        phase="data",
        uses_beam=True,
        about="TFX: statistics of the examples.",
    ),
    Node(
        id="ImportSchemaGen",
        profile=LIGHT,
        phase="data",
        about="TFX: the curated schema of the examples.",
    ),
    Node(
        id="ExampleValidator",
        profile=TENSORFLOW,
        phase="data",
        uses_beam=True,
        about="TFX: examples that break the schema stop the run.",
        ended=hooks.require_no_anomalies,
    ),
    Node(
        id="ChampionResolver",
        profile=DETECTOR,
        phase="diagnose",
        about="The model in production: the newest version served, before any the pre-trained one.",
        looks=hooks.at_champion,
        ended=hooks.remember_champion,
    ),
    Node(
        id="ChampionDetect",
        profile=TENSORFLOW,
        phase="diagnose",
        uses_beam=True,
        about="The champion's predictions, made once.",
        on_gpu=True,
    ),
    Node(
        id="ClassDiagnoser",
        profile=LIGHT,
        phase="diagnose",
        about="Why the class is weak, and the recipe that follows; stops where training can't "
        "help.",
    ),
    TRAINING,
    Node(
        id="ChallengerDetect",
        profile=TENSORFLOW,
        phase="gate",
        uses_beam=True,
        about="The challenger's predictions.",
        on_gpu=True,
    ),
    GATE,
    SERVING_CHECK,
    PUSHER,
)
"""All nodes, in the order of the pipeline."""

ROWS = {node.id: node for node in NODES}
"""The nodes by id."""
