"""Why a task was not enqueued. Nothing has been sent to the database when one of these is raised."""


class EnqueueError(ValueError):
    """The task cannot be enqueued as it was given; the message says why."""


class UnknownFunction(EnqueueError):
    """There is no such module, it cannot be imported, or it has no such function."""


class InvalidFunction(EnqueueError):
    """There is something of that name, but no worker may run it, or could find it: a lambda, a method, a private name."""


class InvalidArguments(EnqueueError):
    """The arguments are no list and no object, are not JSON, are too large, or do not fit the function."""
