"""The recipe language: YAML with positions, the model, selectors, templates, and everything ``check`` can see."""
