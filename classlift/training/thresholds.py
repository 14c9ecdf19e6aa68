"""The score thresholds that a challenger is served with."""

import logging
from collections.abc import Mapping, Set
from dataclasses import replace

from classlift.data.formats.tfrecord import count_records
from classlift.data.predictions import Predictions
from classlift.detectors.predict import load_signature, predict
from classlift.metrics.matching import Matches, match
from classlift.metrics.thresholds import choose, same_bits
from classlift.progress import Countdown
from classlift.serving.bundle import Bundle
from classlift.settings.gate import KEEP, GateSettings
from classlift.settings.recipe import Recipe

logger = logging.getLogger(__name__)


def thresholds_to_serve(
    eval_files: list[str],
    units: Mapping[str, str],
    recipe: Recipe,
    settings: GateSettings,
    targets: Set[str],
    champion: Bundle,
    challenger: Bundle,
) -> dict[str, float]:
    """Chooses the challenger's score thresholds on eval, as the gate asks for them.

    What the recipe can't have changed keeps its threshold; where it may have, both models are asked
    as they are served, for the gate does the same.

    Args:
        eval_files: the records of eval.
        units: of the images of eval, as `read_units` gives them.
        recipe: by which the challenger was trained.
        settings: of the gate.
        targets: the classes to raise.
        champion: the model in production.
        challenger: that is to be served.

    Returns:
        The thresholds by class.

    """
    if recipe.recalibrate:  # moves the targets' alone, whatever is asked for other classes
        settings = replace(settings, thresholds=KEEP, score_threshold=None)
    labels = champion.label_map()

    def predicted(bundle: Bundle) -> Predictions:
        countdown = Countdown(logger, count_records(eval_files), "images")
        serve = load_signature(bundle.saved_model)
        found = predict(serve, eval_files, labels, done=countdown.add)
        logger.info(f"{len(found.image_ids)} images predicted")
        return found

    def matched(found: Predictions) -> Matches:
        names = [units.get(image_id, image_id) for image_id in found.image_ids]
        return match(found.boxes, found.detections, found.image_ids, labels.names, names)

    after, before = predicted(challenger), None
    kept = set(labels) - targets
    if not recipe.leaves_other_classes:
        before = predicted(champion)
        kept = {c for c in kept if same_bits(before.detections, after.detections, c)}
    chosen = choose(
        settings,
        targets,
        champion.operating_points(),
        matched(after),
        None if before is None else matched(before),
        kept,
    )
    return {label: choice.threshold for label, choice in chosen.items()}
