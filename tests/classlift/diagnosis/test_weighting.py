import pytest

from classlift.diagnosis.weighting import weights_by_frequency, with_class_weights

pytestmark = pytest.mark.unit
BOXES = {"car": 900, "bike": 90, "scooter": 10, "tram": 0}


@pytest.mark.parametrize("method", ["inverse_frequency", "effective_number"])
def test_rare_classes_weigh_more_and_the_mean_over_boxes_is_one(method):
    weights = weights_by_frequency(BOXES, method)
    assert weights["scooter"] > weights["bike"] > weights["car"]
    total = sum(weights[label] * count for label, count in BOXES.items())
    assert total / 1000 == pytest.approx(1, rel=1e-3)
    assert weights["tram"] == 1


def test_inverse_frequency_gives_every_class_the_same_sum():
    weights = weights_by_frequency(BOXES, "inverse_frequency")
    sums = [weights[label] * count for label, count in BOXES.items() if count]
    assert sums == pytest.approx([sums[0]] * 3, rel=1e-3)


def test_effective_numbers_differ_less():
    """Of Cui et al.: beyond 1 / (1 - beta) samples, more of them hardly count."""
    by_number, by_frequency = (
        weights_by_frequency(BOXES, method) for method in ("effective_number", "inverse_frequency")
    )
    assert by_number["scooter"] / by_number["car"] < by_frequency["scooter"] / by_frequency["car"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"steps": 3}, {"steps": 3}),
        ({"class_weight": 4.0}, {"class_weights": {"scooter": 4.0}}),
        (
            {"class_weighting": "none", "class_weight": 4.0, "steps": 3},
            {
                "steps": 3,
                "class_weights": {"car": 1.0, "bike": 1.0, "scooter": 4.0, "tram": 1.0},
            },
        ),
    ],
)
def test_what_the_user_sets(changes, expected):
    assert with_class_weights(changes, ["scooter"], BOXES) == expected
