"""The guiders, each against its paper's formula written out in numpy."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

import vidgen
from vidgen.errors import ConfigError

NAMES = ("cfg", "cfg-rescaled", "cfg-interval", "cfg-image-text", "cfg-zero")


@pytest.fixture
def predictions():
    draw = torch.Generator().manual_seed(0)
    shape = (2, 3, 2, 4, 5)
    names = ("text", "none", "nothing")
    return {
        name: torch.randn(shape, generator=draw, dtype=torch.float64) * (k + 1) + k
        for k, name in enumerate(names)
    }


def combined(guider, predictions, step=3, t=0.5):
    """Combine what the guider asked for and nothing else."""
    asked = guider.branches(step, t)
    return guider.combine({name: predictions[name] for name in asked}, step, t).numpy(), asked


def test_the_names_are_registered_and_differ():
    assert set(NAMES) <= set(vidgen.list_components("guider"))
    assert len({vidgen.find("guider", name).preset() for name in NAMES}) == len(NAMES)


def test_cfg(predictions):
    text, none = (predictions[name].numpy() for name in ("text", "none"))
    made, asked = combined(vidgen.create("guider", "cfg", scale=4.0), predictions)
    assert asked == ("text", "none")
    np.testing.assert_allclose(made, none + 4 * (text - none))
    plain, asked = combined(vidgen.create("guider", "cfg", scale=1.0), predictions)
    assert asked == ("text",)
    np.testing.assert_array_equal(plain, text)


def test_rescaled_is_algorithm_2_of_2305_08891(predictions):
    text, none = (predictions[name].numpy() for name in ("text", "none"))
    made, _ = combined(vidgen.create("guider", "cfg-rescaled", scale=7.5, rescale=0.7), predictions)
    for sample in range(2):
        guided = none[sample] + 7.5 * (text[sample] - none[sample])
        rescaled = guided * np.std(text[sample], ddof=1) / np.std(guided, ddof=1)
        np.testing.assert_allclose(made[sample], 0.7 * rescaled + 0.3 * guided)
    whole, _ = combined(vidgen.create("guider", "cfg-rescaled", rescale=1.0), predictions)
    np.testing.assert_allclose(whole.std((1, 2, 3, 4)), text.std((1, 2, 3, 4)))


def test_interval_asks_for_one_branch_outside(predictions):
    guider = vidgen.create("guider", "cfg-interval", scale=2.0, low=0.25, high=0.75)
    text, none = (predictions[name].numpy() for name in ("text", "none"))
    for t in (0.25, 0.5, 0.75):
        made, asked = combined(guider, predictions, t=t)
        assert asked == ("text", "none")
        np.testing.assert_allclose(made, 2 * text - none)
    for t in (0.0, 0.2499, 0.7501, 1.0):
        made, asked = combined(guider, predictions, t=t)
        assert asked == ("text",)
        np.testing.assert_array_equal(made, text)


def test_image_text_is_equation_3_of_instruct_pix2pix(predictions):
    text, none, nothing = (predictions[name].numpy() for name in ("text", "none", "nothing"))
    guider = vidgen.create("guider", "cfg-image-text", scale=7.5, given_scale=1.5)
    made, asked = combined(guider, predictions)
    assert asked == ("text", "none", "nothing")
    np.testing.assert_allclose(made, nothing + 1.5 * (none - nothing) + 7.5 * (text - none))
    _, asked = combined(vidgen.create("guider", "cfg-image-text", given_scale=1.0), predictions)
    assert asked == ("text", "none")


def test_zero_star_projects_and_starts_with_nothing(predictions):
    text, none = (predictions[name].numpy() for name in ("text", "none"))
    guider = vidgen.create("guider", "cfg-zero", scale=3.0, zero_steps=2)
    assert guider.branches(0, 1.0) == guider.branches(1, 0.9) == ()
    made, _ = combined(guider, predictions, step=2)
    for sample in range(2):
        c, u = text[sample].ravel(), none[sample].ravel()
        best = np.linalg.lstsq(u[:, None], c, rcond=None)[0][0]
        np.testing.assert_allclose(made[sample].ravel(), (1 - 3) * best * u + 3 * c)


def test_zero_first_steps_are_for_flow_only():
    guider = vidgen.create("guider", "cfg-zero")
    guider.check(vidgen.DenoiserContract(prediction="flow"))
    for prediction in ("epsilon", "v", "sample"):
        with pytest.raises(ConfigError, match=r"zero_steps=1 .* not"):
            guider.check(vidgen.DenoiserContract(prediction=prediction))
        vidgen.create("guider", "cfg-zero", zero_steps=0).check(
            vidgen.DenoiserContract(prediction=prediction)
        )


def test_options_of_one_name_go_with_those_of_another(predictions):
    text, none = (predictions[name] for name in ("text", "none"))
    both = vidgen.create("guider", "cfg-interval", scale=5.0, rescale=1.0, low=0.2, high=0.6)
    made, _ = combined(both, predictions, t=0.4)
    guided = none + 5 * (text - none)
    axes = (1, 2, 3, 4)
    expected = guided * (text.std(axes, keepdim=True) / guided.std(axes, keepdim=True))
    np.testing.assert_allclose(made, expected)
    assert combined(both, predictions, t=0.7)[1] == ("text",)


def test_samples_of_a_batch_do_not_mix(predictions):
    for name in NAMES:
        guider = vidgen.create("guider", name)
        together, _ = combined(guider, predictions)
        alone, _ = combined(guider, {key: value[1:] for key, value in predictions.items()})
        np.testing.assert_allclose(together[1:], alone)


def test_equal_or_silent_branches_stay_finite():
    same = torch.ones(1, 2, 1, 2, 2)
    for name, value in itertools.product(NAMES, (same, 0 * same)):
        made, _ = combined(vidgen.create("guider", name), dict.fromkeys(("text", "none", "nothing"), value))
        np.testing.assert_allclose(made, value.numpy(), atol=1e-6) if name != "cfg-rescaled" else None
        assert np.isfinite(made).all()


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"scale": float("nan")}, "scale must be finite"),
        ({"given_scale": float("inf")}, "given_scale must be finite"),
        ({"rescale": 1.5}, "rescale must lie"),
        ({"low": 0.7, "high": 0.3}, "0 <= low < high <= 1"),
        ({"high": 1.2}, "0 <= low < high <= 1"),
        ({"zero_steps": -1}, "zero_steps must be 0 or more"),
        ({"fit": True, "given_scale": 2.0}, "given_scale at 1"),
        ({"scale": "much"}, "scale must be float"),
        ({"sacle": 2.0}, "Did you mean 'scale'"),
    ],
)
def test_bad_settings_are_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        vidgen.create("guider", "cfg", **wrong)
