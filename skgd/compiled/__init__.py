"""The compiled engine (numba): only `skgd.engine` imports it, and only when it is wanted."""
