"""What the runners need to know of each node beyond TFX's IR: what to import, and its phase."""

PIPELINE_ROOT = "pipeline"
"""The folder in `work` where TFX puts what nodes make."""

IR, TOPOLOGY = "pipeline.json", "topology.json"
"""The files of a compiled pipeline."""

LONGEST_RUN_ID = 200
"""Characters, all of one byte: file systems and ML Metadata take names of 255, and before a run id
Airflow puts words of its own in some."""

IN_AIRFLOW = "in_airflow"
"""Of a topology: whether DAGs are made of it."""

EVALUATION = "evaluation"
"""Of a run's folder: its verdict and report."""

LIGHT, TENSORFLOW, DETECTOR = "light", "tensorflow", "detector"
"""Profiles: without TensorFlow and Beam (one second, not eight), with, as the backend needs."""

NODES: dict[str, tuple[str, str, str]] = {
    "DatasetSnapshot": (LIGHT, "data", "Reads all labels and images into tables with one hash."),
    "DataValidator": (
        LIGHT,
        "data",
        "Checks boxes, images and splits; what is critical stops the run. "
        "`WORK/validation/report.html` shows the findings.",
    ),
    "RebalancedExampleGen": (
        LIGHT,
        "data",
        "Writes tf.Examples: `train` rebalanced, `eval` and `test` as they are.",
    ),
    "StatisticsGen": (TENSORFLOW, "data", "TFX: statistics of the examples."),
    "ImportSchemaGen": (TENSORFLOW, "data", "TFX: the curated schema of the examples."),
    "ExampleValidator": (TENSORFLOW, "data", "TFX: examples that break the schema stop the run."),
    "ChampionResolver": (
        DETECTOR,
        "diagnose",
        "The model in production: the newest version served, before any the pre-trained one.",
    ),
    "ChampionDetect": (TENSORFLOW, "diagnose", "The champion's predictions, made once."),
    "ClassDiagnoser": (
        LIGHT,
        "diagnose",
        "Why the class is weak, and the recipe that follows; stops where training can't help.",
    ),
    "Trainer": (DETECTOR, "train", "Trains the challenger as the recipe says; resumes if killed."),
    "ChallengerDetect": (TENSORFLOW, "gate", "The challenger's predictions."),
    "RecallGate": (
        LIGHT,
        "gate",
        "Compares both models class by class and gives the verdict: push, refuse or inconclusive.",
    ),
    "ServingCheck": (LIGHT, "gate", "Loads the export in a clean process and asks it for answers."),
    "Pusher": (LIGHT, "push", "Serves the blessed model: a checked copy, whole or not at all."),
}
"""Profile, phase, and what the UI says of it, by node id, in the order of the pipeline."""

ON_GPU = {"ChampionDetect", "Trainer", "ChallengerDetect"}
"""Nodes that are faster with a GPU: they wait in the queue of its worker, one at a time."""
