"""A project's app, with the functions of the recipe."""
