"""A scheduler of second order at one evaluation a step."""

import vidgen
from vidgen.config import config


@config
class DeisConfig(vidgen.SchedulerConfig):
    start: float = 1.0

    def contract(self):
        return vidgen.SchedulerContract(order=2, start=self.start)


@vidgen.hookimpl
def vidgen_components():
    return [
        vidgen.ComponentSpec(
            kind="scheduler",
            name="deis",
            target="vidgen_plugin_deis.scheduler:Deis",
            config=DeisConfig,
            summary="DEIS with Adams-Bashforth steps: second order, one evaluation a step.",
            presets={"tiny": DeisConfig()},
        )
    ]
