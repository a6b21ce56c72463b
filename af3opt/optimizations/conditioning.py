"""What the sampler's token and atom layers have in common: conditioning, and transition.

What adaptive layer norms and gates take from the conditioning does not depend on the
activations. For all layers together it is a few batched products
that threads share by layers, instead of six small ones in each layer that all threads
have to meet after.
"""

from collections.abc import Callable, Mapping, Sequence

from af3opt.engine.known_functions import known
from af3opt.engine.protocols import Array, Module
from af3opt.optimizations.base import FLOAT32

_MODULE = "model.network.diffusion_transformer"
TRANSITION = known(_MODULE, "transition_block")
# The layers that are written out here and by the users of this module.
CONDITIONED_LAYERS = (
    TRANSITION,
    known(_MODULE, "adaptive_layernorm"),
    known(_MODULE, "adaptive_zero_init"),
)


def layer_shapes(
    norms: Sequence[str],
    gates: Sequence[str],
    single: int,
    channels: int,
    heads: int,
    hidden: int,
) -> dict[str, dict[str, tuple[int, ...]]]:
    """Shapes of the parameters of one layer.

    Args:
        norms: Prefixes of the adaptive norms' names.
        gates: Prefixes of the gates' names.
        single: Channels of the conditioning.
        channels: Channels of what it acts on.
        heads: Heads of the attention.
        hidden: Channels inside the transition.

    Returns:
        By linear layer or norm, and by kind of parameter.
    """
    affine = {"weights": (single, channels), "bias": (channels,)}
    shapes: dict[str, dict[str, tuple[int, ...]]] = {}
    for norm in norms:
        shapes[f"{norm}single_cond_layer_norm"] = {"scale": (single,)}
        shapes[f"{norm}single_cond_scale"] = affine
        shapes[f"{norm}single_cond_bias"] = {"weights": (single, channels)}
    split = (heads, channels // heads)
    return (
        shapes
        | {f"{gate}adaptive_zero_cond": affine for gate in gates}
        | {
            "q_projection": {"weights": (channels, *split), "bias": split},
            "k_projection": {"weights": (channels, *split)},
            "v_projection": {"weights": (channels, *split)},
            "gating_query": {"weights": (channels, channels)},
            "transition2": {"weights": (channels, channels)},
            "ffw_transition1": {"weights": (channels, hidden * 2)},
            "ffw_transition2": {"weights": (hidden, channels)},
        }
    )


def read_layers(
    module: Module, shapes: Mapping[str, Mapping[str, tuple[int, ...]]], stacked: tuple[int, ...]
) -> dict[str, Array]:
    """Reads all layers' parameters in the scope of their stack.

    Args:
        module: The engine's transformer, whose name the layers' names begin with.
        shapes: Of one layer, as `layer_shapes` gives them.
        stacked: How the layers are stacked: their number, or blocks and layers of a block.

    Returns:
        (*stacked, ...) each, float32, by "layer/parameter" name.
    """
    import haiku as hk
    import jax.numpy as jnp

    parameters = {}
    for layer, kinds in shapes.items():
        # A scope entered twice would get another name.
        with hk.name_scope(module.name + layer):
            for kind, size in kinds.items():
                parameters[f"{layer}/{kind}"] = hk.get_parameter(
                    kind, (*stacked, *size), jnp.float32, init=jnp.zeros
                )
    return parameters


def conditions(
    cond: Array,
    parameters: Mapping[str, Array],
    norms: Sequence[str],
    gates: Sequence[str],
    operands: str = FLOAT32,
) -> dict[str, Array]:
    """Scales and biases of adaptive norms, and output gates (algorithms 25 and 26).

    Args:
        cond: (rows, single channels).
        parameters: All layers' parameters, (layers, ...) each, by "layer/parameter" name.
        norms: Prefixes of the adaptive norms' names.
        gates: Prefixes of the gates' names.
        operands: "bfloat16" rounds the operands of the products first.

    Returns:
        (layers, rows, channels) each, float32: "scale" and "bias" by norm, "gate" by gate.
    """
    import jax.numpy as jnp

    from af3opt.optimizations.arithmetic import operand_type, sigmoid, standardise

    kind = operand_type(operands)

    def project(rows: Array, name: str) -> Array:
        return jnp.einsum(
            "lac,lcd->lad",
            rows.astype(kind),
            parameters[f"{name}/weights"].astype(kind),
            preferred_element_type=jnp.float32,
        )

    def squashed(rows: Array, name: str) -> Array:
        return sigmoid(project(rows, name) + parameters[f"{name}/bias"][:, None, :])

    cond = cond.astype(jnp.float32)
    normed = standardise(cond)
    made = {}
    for gate in gates:
        layers = parameters[f"{gate}adaptive_zero_cond/bias"].shape[0]
        rows = jnp.broadcast_to(cond, (layers, *cond.shape))
        made[f"{gate}gate"] = squashed(rows, f"{gate}adaptive_zero_cond")
    for norm in norms:
        rows = normed * parameters[f"{norm}single_cond_layer_norm/scale"][:, None, :]
        made[f"{norm}scale"] = squashed(rows, f"{norm}single_cond_scale")
        made[f"{norm}bias"] = project(rows, f"{norm}single_cond_bias")
    return made


def conditioned_transition(
    state: Array, condition: Mapping[str, Array], multiply: Callable[[Array, str], Array]
) -> Array:
    """Conditioned transition (algorithm 25).

    Args:
        state: (rows, channels), float32.
        condition: One layer's part of `conditions`.
        multiply: Rows and the name of a linear layer to their product.

    Returns:
        The update, shape and type of `state`.
    """
    import jax.numpy as jnp

    from af3opt.optimizations.arithmetic import sigmoid, standardise

    normed = condition["ffw_scale"] * standardise(state) + condition["ffw_bias"]
    gate, value = jnp.split(multiply(normed, "ffw_transition1"), 2, axis=-1)
    update = multiply(gate * sigmoid(gate) * value, "ffw_transition2")
    return condition["ffw_gate"] * update
