"""The trunk's activations in float32 on a CPU, where bfloat16 saves nothing.

The engine rounds every activation of trunk and confidence head to bfloat16, which
halves memory traffic on an accelerator. XLA:CPU widens the values again for
everything but matrix products.
"""

import copy

from af3opt.base.fidelity import PRECISION
from af3opt.engine.known_functions import known
from af3opt.engine.protocols import Argument, EngineFunction, ModelConfig, Module
from af3opt.optimizations.base import BFLOAT16, Context, Optimization
from af3opt.optimizations.haiku_access import as_module_method

_TARGET = known("model.model", "Model.__init__")


def _replace(original: EngineFunction, context: Context) -> EngineFunction:
    del context

    def initialise(
        module: Module, config: ModelConfig, *args: Argument, **kwargs: Argument
    ) -> None:
        config = copy.deepcopy(config)
        config.global_config.bfloat16 = "none"
        original(module, config, *args, **kwargs)

    return as_module_method("__init__", initialise)


OPTIMIZATION = Optimization(
    name="float32_activations",
    fidelity=PRECISION,
    summary="Activations of the trunk stay float32; --trunk_precision decides about operands.",
    replacements=((_TARGET, _replace),),
    wanted=lambda context: context.trunk_precision != BFLOAT16,
)
