"""What detectors answer, in one order, to be compared."""


def rows_of(answer):
    """Image, class, score and box of each detection, in one order."""
    boxes, classes, scores = (
        answer[f"detection_{name}"].numpy() for name in ("boxes", "classes", "scores")
    )
    return sorted(
        (image, int(classes[image, i]), float(scores[image, i]), *boxes[image, i].tolist())
        for image, count in enumerate(answer["num_detections"].numpy().astype(int))
        for i in range(count)
    )
