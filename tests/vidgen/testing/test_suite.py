"""The three ways to run the suite, expected failures, and contracts that need torch."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

import vidgen
from tests.stranger import install
from tests.vidgen.testing.toys import ToyNet, ToyNetConfig
from vidgen.errors import ConfigError, UnknownNameError
from vidgen.registry import find
from vidgen.testing import Subject, check_component, checks_of, parametrize_with_checks

pytest_plugins = ["pytester"]

LOUD = """
import vidgen
from vidgen.config import config
from vidgen.hookspecs import hookimpl

@config
class LoudConfig(vidgen.SchedulerConfig):
    def contract(self):
        import torch
        return vidgen.SchedulerContract(order=1)

@hookimpl
def vidgen_components():
    return [vidgen.ComponentSpec(kind="scheduler", name="loud", target="acme_module:Loud", config=LoudConfig,
                                 summary="Loud.", presets={"tiny": LoudConfig()})]
"""


def test_rows_say_everything():
    (row,) = check_component("scheduler", "euler", checks=["one-point-is-exact"])
    assert (row.kind, row.name, row.check, row.status) == (
        "scheduler",
        "euler/tiny",
        "one-point-is-exact",
        "pass",
    )
    assert row.error is not None
    assert row.tolerance == 1e-6
    assert row.error <= row.tolerance
    assert row.seconds > 0


def test_names_and_checks_that_nobody_knows():
    with pytest.raises(UnknownNameError, match="Did you mean 'euler'"):
        check_component("scheduler", "eulr")
    with pytest.raises(UnknownNameError, match="Did you mean 'order-as-declared'"):
        check_component("scheduler", "euler", checks=["order-declared"])
    with pytest.raises(ConfigError, match="autoencoder"):
        check_component("data_set", "kinetic")
    with pytest.raises(ConfigError, match="random weights"):
        check_component("denoiser", "sora-dit@kinetic")
    with pytest.raises(ValueError, match="nothing to test"):
        parametrize_with_checks([("denoiser", "no-such-*")])


def test_every_check_explains_itself():
    for kind in ("autoencoder", "denoiser", "text_encoder", "scheduler"):
        assert len(checks_of(kind)) >= 14
        assert all(one.summary.endswith(".") for one in checks_of(kind))


class Half(ToyNet):
    def forward(self, x, time, prepared):
        return super().forward(x.mul_(0.5), time, prepared)


def declared(registry, failures):
    """Register `Half`, which changes its input in place, with expected failures."""
    vidgen.register("denoiser", "half", replace=True)(Half)
    spec = replace(find("denoiser", "half"), expected_failures=failures)
    registry._specs["denoiser", "half"] = spec
    return Subject(spec, ToyNetConfig(), "half")


def test_expected_failures_have_a_reason_and_are_strict(scratch_registry):
    known = {"inputs-are-left-alone": "It scales its input in place to save memory."}
    subject = declared(scratch_registry, known)
    (row,) = check_component("denoiser", "half", checks=["inputs-are-left-alone"], subject=subject)
    assert row.status == "xfail"
    assert row.message.startswith("It scales its input in place to save memory. (the latents")

    subject = declared(scratch_registry, {"finite-at-both-ends": "It was believed to divide by the time."})
    (row,) = check_component("denoiser", "half", checks=["finite-at-both-ends"], subject=subject)
    assert row.status == "fail"
    assert "take it out of expected_failures" in row.message

    subject = declared(scratch_registry, {"no-such-check": "There is none, so this cannot hold."})
    with pytest.raises(UnknownNameError, match="no-such-check"):
        check_component("denoiser", "half", subject=subject)


def test_a_contract_that_needs_torch_is_seen(tmp_path):
    install(tmp_path, LOUD)
    code, out, _ = conform(tmp_path, "loud", "--check", "contract-without-torch")
    assert code == 1
    assert "imported torch" in out
    install(tmp_path, LOUD.replace("        import torch\n", ""))
    assert conform(tmp_path, "loud", "--check", "contract-without-torch")[0] == 0


def conform(path, *words):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-m", "vidgen", "conform", *words]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stdout, done.stderr


def test_the_command_prints_a_table_and_its_code_tells(tmp_path):
    code, out, err = conform(tmp_path, "euler", "--check", "one-point-is-exact", "--check", "grids-are-sound")
    assert code == 0
    assert "grids-are-sound" in out
    assert "pass" in out
    assert err.strip() == "2 pass"
    code, _, err = conform(tmp_path, "eulr")
    assert code == 2
    assert "Did you mean 'euler'" in err


def test_pytest_gets_a_test_for_each_component_and_check(pytester):
    pytester.makepyfile(
        """
        from vidgen.testing import parametrize_with_checks

        @parametrize_with_checks([("scheduler", "eul*")])
        def test_conformance(conformance):
            conformance()
        """
    )
    result = pytester.runpytest_inprocess("-v", "-p", "no:cacheprovider")
    count = len(checks_of("scheduler"))
    assert result.ret == 0
    result.assert_outcomes(passed=count)
    result.stdout.fnmatch_lines(["*test_conformance[[]scheduler-euler/tiny-order-as-declared[]]*"])
