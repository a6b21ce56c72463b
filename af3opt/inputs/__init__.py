"""AlphaFold 3 inputs as plain data: read, checked and made without the engine.

Level 2 of the layout, next to `settings`: no JAX, no NumPy, no engine. `checking` is the way
in for everything that runs inputs; what needs the chemical component dictionary is given it.
"""
