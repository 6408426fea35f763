"""The routes, one module per noun. A route parses, calls, returns."""
