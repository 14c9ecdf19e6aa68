"""What the runners need to know of each node beyond TFX's IR: what to import, and its phase."""

IR, TOPOLOGY = "pipeline.json", "topology.json"
"""The files of a compiled pipeline."""

LIGHT, TENSORFLOW, DETECTOR = "light", "tensorflow", "detector"
"""Profiles: without TensorFlow and Beam (one second, not eight), with, as the backend needs."""

NODES: dict[str, tuple[str, str]] = {
    "DatasetSnapshot": (LIGHT, "data"),
    "DataValidator": (LIGHT, "data"),
    "RebalancedExampleGen": (LIGHT, "data"),
    "StatisticsGen": (TENSORFLOW, "data"),
    "ImportSchemaGen": (TENSORFLOW, "data"),
    "ExampleValidator": (TENSORFLOW, "data"),
    "ChampionResolver": (DETECTOR, "diagnose"),
    "ChampionDetect": (TENSORFLOW, "diagnose"),
    "ClassDiagnoser": (LIGHT, "diagnose"),
    "Trainer": (DETECTOR, "train"),
    "ChallengerDetect": (TENSORFLOW, "gate"),
    "RecallGate": (LIGHT, "gate"),
    "ServingCheck": (LIGHT, "gate"),
    "Pusher": (LIGHT, "push"),
}
"""Profile and phase by node id, in the order of the pipeline."""

ON_GPU = {"ChampionDetect", "Trainer", "ChallengerDetect"}
"""Nodes that are faster with a GPU: they wait in the queue of its worker, one at a time."""
