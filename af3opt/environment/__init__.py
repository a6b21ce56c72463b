"""Backend, variables and XLA flags: what is decided and set before JAX starts."""
