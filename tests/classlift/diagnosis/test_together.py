"""Targets of one run that are trained together, by one recipe."""

from dataclasses import replace

import pytest

from classlift.diagnosis.diagnosis import Diagnosis
from classlift.diagnosis.run import together
from classlift.errors import ConfigError
from classlift.settings.recipe import Recipe
from tests.classlift.diagnosis.test_diagnosis import DIAGNOSIS

pytestmark = pytest.mark.unit


def on(target: str, policy: str, max_inference: float = 1.0, **parts: object) -> Diagnosis:
    return replace(
        DIAGNOSIS,
        weakness=replace(DIAGNOSIS.weakness, target=target),
        recipe=Recipe(freeze_policy=policy, max_inference=max_inference),
        **parts,
    )


def test_a_single_target_has_its_own_diagnosis():
    assert together([DIAGNOSIS]) is DIAGNOSIS


def test_the_recipe_has_the_layers_that_any_of_them_needs(tmp_path):
    doubt = replace(DIAGNOSIS.doubts[0], image_id="b")
    found = together(
        [
            on("scooter", "target-branch", stop="Hopeless."),
            on("tram", "target-branch+neck", doubts=(*DIAGNOSIS.doubts, doubt)),
        ]
    )
    [tram] = found.beside
    assert (
        found.recipe == tram.recipe == Recipe(freeze_policy="target-branch+neck", max_inference=1.0)
    )
    assert "so class scooter gets that too" in " ".join(found.reasons)
    assert "Hopeless. It is trained beside the others" in " ".join(found.reasons)
    assert tram.reasons == DIAGNOSIS.reasons
    assert found.doubts == (*DIAGNOSIS.doubts, doubt)
    found.write(tmp_path)
    read = Diagnosis.read(tmp_path)
    assert read == replace(found, stop=None)


def test_what_eval_will_choose_is_not_said_before():
    found = together([on("scooter", "target-branch", 1.5), on("tram", "target-branch+neck", 1.5)])
    assert found.recipe == Recipe(freeze_policy="target-branch+neck")
    assert found.reasons == DIAGNOSIS.reasons


@pytest.mark.parametrize("policy", ["all-but-heads", "none"])
def test_several_need_heads_of_their_own(policy):
    given = [on("scooter", policy), on("tram", policy)]
    with pytest.raises(ConfigError, match="classes scooter and tram could not be pushed without"):
        together(given)
    moved = [replace(one, recipe=Recipe(policy, recalibrate=True)) for one in given]
    assert together(moved).recipe.recalibrate
