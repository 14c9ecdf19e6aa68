"""The artifact types that TFX does not bring."""

from tfx.types.artifact import Artifact


class Snapshot(Artifact):  # type: ignore[misc]  # TFX has no types
    """A folder that `classlift.data.snapshot.Snapshot` reads."""

    TYPE_NAME = "ClassLiftSnapshot"


class ValidationReport(Artifact):  # type: ignore[misc]  # TFX has no types
    """`findings.json` and Great Expectations' Data Docs of a snapshot that passed."""

    TYPE_NAME = "ClassLiftValidationReport"


class Predictions(Artifact):  # type: ignore[misc]  # TFX has no types
    """`classlift.data.predictions.Predictions` of one model, a folder a split."""

    TYPE_NAME = "ClassLiftPredictions"


class Diagnosis(Artifact):  # type: ignore[misc]  # TFX has no types
    """`diagnosis.json`: why the class is weak, and the recipe that follows."""

    TYPE_NAME = "ClassLiftDiagnosis"
