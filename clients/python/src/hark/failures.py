"""Why an attempt went wrong, where that was no exception of the function. Django's Tasks API names a class for each error, and these are they."""


class Failed(Exception):
    """What a failed attempt has in Django's Tasks API when its error names no exception: a program's exit code, a verdict."""


class Crashed(Exception):
    """The process that ran the function was ended by a signal."""


class Lost(Exception):
    """The worker died while it ran the function."""
