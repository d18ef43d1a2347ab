# Functions by name: what a task may name, and what it knows of itself.


def find(name, modules):
    """What a task names: a function, or a task of Django's Tasks API.

    Raises Refused with FAIL for what no later attempt would change, with ERROR for what a deploy may be about to bring.
    """
    module_name, _, attribute = name.rpartition(".")
    parts = name.split(".")
    if len(parts) < 2 or not all(part.isidentifier() for part in parts):
        raise Refused(FAIL, f"{name[:200]!r} is no name of a Python function, such as sim.services.interesting_calculation")
    if any(part.startswith("_") for part in parts):
        raise Refused(FAIL, f"{name} may not be run: names that begin with an underscore are private")
    if not any(name.startswith(module + ".") for module in modules):
        raise Refused(FAIL, f"{name} may not be run: this worker's modules are {', '.join(modules)} ([python] modules)")
    module = load(module_name)
    try:
        found = getattr(module, attribute)
    except AttributeError:
        raise Refused(ERROR, f"{module_name} has no function {attribute}") from None
    function = found.func if is_django_task(found) else found
    if isinstance(function, (type, ModuleType)) or not callable(function):
        kind = "class" if isinstance(function, type) else "module" if isinstance(function, ModuleType) else type(function).__qualname__
        raise Refused(FAIL, f"{name} is no function: it is {with_article(kind)}")
    owner = getattr(function, "__module__", None)
    if owner != module_name and attribute not in getattr(module, "__all__", ()):
        own = module_name + ("'" if module_name.endswith("s") else "'s")
        raise Refused(FAIL, f"{name} is not {own} own: it is {owner}.{getattr(function, '__qualname__', type(function).__qualname__)}")
    return found


def load(module_name):
    try:
        __import__(module_name)
        return sys.modules[module_name]
    except ModuleNotFoundError as error:
        # Of the module itself or of a package that it is in; else it is there, and imports something that is not.
        if error.name and (module_name + ".").startswith(error.name + "."):
            importlib.invalidate_caches()
            raise Refused(ERROR, f"there is no module {error.name}") from None
        raise Refused(ERROR, f"cannot import {module_name}: {message_of(error)}", detail_of(error)) from None
    except Exception as error:
        raise Refused(ERROR, f"cannot import {module_name}: {message_of(error)}", detail_of(error)) from None


def is_django_task(found):
    return not isinstance(found, type) and hasattr(found, "func") and hasattr(found, "get_backend")


def callable_of(found):
    """How it is called. A backend of ours runs its own tasks, because it knows what their context is; in others only the function counts."""
    if not is_django_task(found):
        return found
    run = getattr(found.get_backend(), "run_hark_task", None)
    return (lambda *args, **kwargs: run(found, current(), args, kwargs)) if run else found.func


def misfit(found, error, args, kwargs):
    """Why these arguments do not fit a function, if that is what this TypeError is about: it came up before the function began."""
    depth, place = 0, error.__traceback__
    while place:
        depth += place.tb_frame.f_code.co_filename != OURS
        place = place.tb_next
    try:
        if is_django_task(found):
            depth -= 1
            args, found = ([None, *args] if getattr(found, "takes_context", False) else args), found.func
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError as reason:
        return f"{str(signature)[:200]}: {reason}" if depth <= 0 else None
    return None


class Current:
    """The task that runs, for its function. Client packages find it by `sys.modules["_hark"].current()`."""

    __slots__ = ("id", "token", "function", "queue", "attempt", "max_attempts", "timeout")

    def __init__(self, header, function, queue):
        _, _, self.id, self.token, self.attempt, self.max_attempts, timeout, _, _ = header
        self.function, self.queue, self.timeout = function.decode(), queue.decode(), timeout or None

    def alive(self):
        self._say(ALIVE, 0)

    def extend(self, seconds):
        self._say(EXTEND, nanoseconds(seconds))

    def _say(self, kind, number):
        task = interpreter and interpreter.task
        if task and task[0][2:4] == (self.id, self.token):  # A thread that has outlived its task speaks for nobody.
            interpreter.send(REPLY.pack(18, kind, 0, self.id, number))


def current():
    task = interpreter and interpreter.task
    return Current(*task[:3]) if task else None
