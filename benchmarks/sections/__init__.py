"""One module a section, each with `measure`; a section prints nothing but progress."""
