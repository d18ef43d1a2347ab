"""The Python side of Hark's Python runner. It travels inside the worker's binary as this one file and needs nothing but the
standard library of Python 3.10 or later; nothing of Hark is installed in the project's environment.

Two sorts of process run it.

The fork server is started once. The worker sends it this source, then its settings, over a socket of packets on descriptor 0.
It loads the project (Django, `preload`), says `ready`, and from then on forks an interpreter whenever it is asked to. It is the
parent of all interpreters, and waits for one only when told `reap`: until then the pid stays reserved, and the worker's
signals cannot reach a stranger. When the worker is gone, so is the fork server.

An interpreter runs the functions of tasks, one at a time, in its main thread. It has two sockets. Over the first, a stream, tasks come
in and replies go out, as frames whose layout is in `TASK` and `REPLY`. Tasks may be handed ahead; they are run in their order, and the
reply to one is written before the next one begins, so that whatever kills this process kills one task. Over the second, a
socket of packets, the worker says `interrupt` (stop this task, if its function runs) and `recall` (give back what has not begun), and then
sends the signal WAKE, because the main thread may be in the midst of a function.

A Python signal handler runs in the main thread between any two bytecodes, also those of this file. That is the race here, and it is met with
one rule: the handler does something only while `busy` is false, and `busy` is false only while a function runs. Everywhere
else it leaves a note in `again`, and whoever ends the busy part looks at the note. So our own code is never interrupted by itself:

- `serve` is busy but for the call of the function, and looks at the note when the task has become the current one. An interrupt
  that the worker sent in the moment between two tasks is therefore found when its task begins. One for a task that has ended means nothing.
- While it waits for tasks it polls both sockets and needs no signal. It looks at the tasks first: what an interrupt is about
  was handed over before the interrupt was.
- A function that prints is in our code for that long: `send` is busy and looks at the note when it is done.
- `TaskStopped` is raised by the handler, once for a task, and so only where `busy` was false: within the two `try` of `serve`. There are two
  because the stop may arrive after the function has raised something else, and before `busy` is true.
- What runs inside an event loop is not stopped by an exception in the loop's own code: its asyncio task is cancelled.

Signal handlers of the function are foreign code in the same places, and may raise. They are put back before the reply; while the
handler of WAKE works, all signals are masked; and a line that the function prints is at most one small write, which the kernel
does entirely or not at all, so a frame is never cut in two.
"""

import sys
from types import CoroutineType, GeneratorType, ModuleType

__name__ = "_hark"  # What is defined here is no part of `__main__`, which belongs to the project.

import atexit
import collections
import errno
import fcntl
import inspect
import io
import json
import os
import resource
import select
import signal
import socket
import struct
import threading
import time
import traceback
from _signal import getitimer, getsignal, pthread_sigmask, setitimer  # Those of `signal` wrap each number in an enum.
from _thread import RLock, get_ident
from _thread import _count as thread_count

WAKE = signal.SIGRTMIN + 5
TASK = struct.Struct("<IBqqiidHH")  # length of what follows, kind 1, id, token, attempt, max_attempts, timeout, bytes of function, of queue
REPLY = struct.Struct("<IBBqq")  # length of what follows, kind, flags, id, number; then the payload
DONE, ERROR, FAIL, RETRY, SNOOZE, CANCEL, TOO_LARGE, LOG, RECALLED, ALIVE, EXTEND, READY = range(1, 13)
RETIRE, SPAWNED, CHILDREN, INTERRUPTED = 1, 2, 4, 8

LONGEST_LINE = 8 << 10
LONGEST_LOG = 32 << 10
LONGEST_DETAIL = 32 << 10
READ_AT_ONCE = 256 << 10
MANY = 10_000
OURS = "<hark>"

interpreter = None  # The one that this process is; None in the fork server, and in what a function has forked.
noticed = 0  # What the audit hook has seen of the function: SPAWNED, CHILDREN, MOVED.
MOVED = 64


class TaskStopped(KeyboardInterrupt):
    """Raised in a function whose task is to stop: its time is up, it was cancelled, or the worker ends.

    It is a KeyboardInterrupt because libraries know what that is: psycopg cancels the query on the server, asyncio leaves its loop.
    """


class Refused(Exception):
    """A task whose function cannot be run: the kind of reply, the message, the detail."""


# --- What functions print ------------------------------------------------------------------------------------------------------


class Lines(io.TextIOBase):
    """sys.stdout or sys.stderr: in an interpreter whole lines become LOG frames, elsewhere all text goes to the descriptor.

    Parts of lines wait in a deque, whose operations are atomic: threads and signal handlers may print at any time.
    """

    encoding, errors, newlines, line_buffering, mode = "utf-8", "backslashreplace", None, True, "w"

    def __init__(self, descriptor, name):
        self.descriptor, self.name = descriptor, name
        self.parts = collections.deque()
        self.size = 0
        self.buffer = Bytes(self)

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if interpreter is None:
            write_all(self.descriptor, text.encode("utf-8", "backslashreplace"))
        elif text:
            self.parts.append(text)
            self.size += len(text)
            if "\n" in text or self.size > LONGEST_LINE:
                self.emit()
        return len(text)

    def emit(self, to_the_end=False):
        """Sends what is complete: up to the last newline, or everything if a line is too long or the task is at its end."""
        taken = []
        while self.parts:
            taken.append(self.parts.popleft())
        self.size = 0
        text, newline, rest = "".join(taken).rpartition("\n")
        if rest and (to_the_end or len(rest) > LONGEST_LINE):
            text, newline, rest = text + newline + rest, "\n", ""
        if rest:
            self.parts.appendleft(rest)
            self.size += len(rest)
        if newline:
            interpreter.log(text, self.descriptor)

    def fileno(self):
        return self.descriptor

    def isatty(self):
        return False

    def writable(self):
        return True

    def flush(self):
        pass

    def close(self):
        pass

    def reconfigure(self, **_):
        pass


class Bytes(io.RawIOBase):
    """The `buffer` of such a stream."""

    def __init__(self, lines):
        self.lines, self.name, self.mode, self.raw = lines, lines.name, "wb", self

    def write(self, data):
        data = bytes(data)
        self.lines.write(data.decode("utf-8", "backslashreplace"))
        return len(data)

    def fileno(self):
        return self.lines.descriptor

    def writable(self):
        return True

    def close(self):
        pass


def write_all(descriptor, data):
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        pass  # Nobody reads it, or the function has closed it.


def pieces(text):
    """Payloads of LOG frames: lines of bounded length, as many as go into one small write."""
    payload = b""
    for line in text.encode("utf-8", "backslashreplace").replace(b"\0", b"?").split(b"\n"):
        while True:
            end = min(len(line), LONGEST_LINE)
            while end < len(line) and line[end] & 0xC0 == 0x80:
                end -= 1
            piece, line = line[:end], line[end:]
            if len(payload) + 1 + len(piece) > LONGEST_LOG:
                yield payload
                payload = piece
            else:
                payload = payload + b"\n" + piece if payload else piece
            if not line:
                break
    yield payload


# --- Results -------------------------------------------------------------------------------------------------------------------


class Results:
    """Makes JSON that PostgreSQL takes of whatever a function returns."""

    def __init__(self):
        self.markers = {}
        make = json.encoder.c_make_encoder
        if make:
            encode = json.encoder.encode_basestring
            self.chunks = make(self.markers, self.refuse, encode, None, ":", ",", False, False, False)
        else:
            encoder = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)
            self.chunks = lambda value, _: encoder.iterencode(value)

    @staticmethod
    def refuse(value):
        raise TypeError

    def encode(self, value):
        """The bytes, and what has become text by the last resort: None as a rule, else a sentence for the log."""
        sentence = None
        try:
            text = "".join(self.chunks(value, 0))
        except Exception:
            self.markers.clear()
            text, sentence = self.encode_all(value)
        if "\\u0000" in text:
            # Only where it is an escape of its own: not in \\u0000, a backslash and four digits.
            text = replace_escapes(r"\\(?:u0000|.)", lambda found: "\ufffd" if found[0] == "\\u0000" else found[0], text)
        try:
            return text.encode("utf-8"), sentence
        except UnicodeEncodeError:
            return without_surrogates(text).encode("utf-8"), sentence

    def encode_all(self, value):
        kinds = {}
        try:
            text = "".join(self.chunks(plain(value, kinds), 0))
            names = " and ".join("a " + kind for kind in list(kinds)[:5])
            return text, f"the result has {names}, which JSON cannot hold: stored as text" if kinds else None
        except Exception:
            self.markers.clear()
            try:
                text = repr(value)
            except Exception:
                text = object.__repr__(value)
            return json.dumps(text, ensure_ascii=False), "the result is circular or too deep for JSON: stored as text"


def plain(value, kinds):
    """The same value in dicts, lists, texts and numbers. `kinds` is told the types that have become text for want of anything better."""
    import dataclasses, datetime, decimal, enum, itertools, math, uuid  # noqa: E401

    if value is None or isinstance(value, (bool, str)):
        return value.value if isinstance(value, enum.Enum) else value
    if isinstance(value, enum.Enum):
        return plain(value.value, kinds)
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        kinds["NaN" if value != value else "Infinity"] = True
        return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, collections.abc.Mapping):
        return {plain_key(key): plain(item, kinds) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), kinds) for field in dataclasses.fields(value)}
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return duration(value)
    if isinstance(value, (decimal.Decimal, uuid.UUID)):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value).decode("utf-8")
        except UnicodeDecodeError:
            return repr(bytes(value))
    if isinstance(value, (list, tuple, collections.deque, collections.abc.Set, collections.abc.ValuesView)):
        return [plain(item, kinds) for item in value]
    if isinstance(value, of_project("django.db.models", "QuerySet")) and value._result_cache is None:
        items = value[: MANY + 1]
    elif isinstance(value, (collections.abc.Iterator, range, of_project("django.db.models", "QuerySet"))):
        items = itertools.islice(value, MANY + 1)
    elif isinstance(value, (of_project("numpy", "ndarray"), of_project("numpy", "generic"))):
        return plain(value.tolist(), kinds)
    else:
        items = None
    if items is not None:
        items = list(items)
        if len(items) <= MANY:
            return [plain(item, kinds) for item in items]
    if not isinstance(value, of_project("django.utils.functional", "Promise")):
        kinds[type(value).__qualname__] = True
    try:
        return str(value)
    except Exception:
        return object.__repr__(value)


def plain_key(key):
    if isinstance(key, (str, bool, int, float)) or key is None:
        return key if key == key and key not in (float("inf"), float("-inf")) else str(key)
    key = plain(key, {})
    return key if isinstance(key, str) else str(key)


def duration(delta):
    """ISO 8601, as Django writes it."""
    sign, delta = ("-", -delta) if delta.days < 0 else ("", delta)
    minutes, seconds = divmod(delta.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    fraction = f".{delta.microseconds:06}" if delta.microseconds else ""
    return f"{sign}P{delta.days}DT{hours:02}H{minutes:02}M{seconds:02}{fraction}S"


def of_project(module, name):
    """A class of a library, if the project has loaded that; else nothing is an instance of it."""
    return getattr(sys.modules.get(module), name, ())


def replace_escapes(pattern, replacement, text):
    import re

    return re.sub(pattern, replacement, text)


def without_surrogates(text):
    return replace_escapes("[\ud800-\udfff]", "\ufffd", text)


# --- Errors --------------------------------------------------------------------------------------------------------------------


def storable(text):
    """Text that PostgreSQL takes, as bytes."""
    return without_surrogates(text.replace("\0", "\ufffd")).encode("utf-8")


def name_of(kind):
    return kind.__qualname__ if kind.__module__ in ("builtins", "_hark") else f"{kind.__module__}.{kind.__qualname__}"


def message_of(error):
    name = name_of(type(error))
    if isinstance(error, SystemExit) and error.code in (None, 0):
        return f"{name}: the function called sys.exit"
    try:
        text = str(error).strip().partition("\n")[0]
    except BaseException:
        text = ""
    return f"{name}: {text}"[:500] if text else name


def detail_of(error):
    """The traceback, of the project's frames, with causes; the end of it, if it is long."""
    try:
        whole = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
        waiting = [whole]
        while waiting:
            part = waiting.pop()
            part.stack[:] = [frame for frame in part.stack if frame.filename != OURS and not frame.filename.startswith("<frozen importlib")]
            waiting += [other for other in (part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())) if other]
        text = "".join(whole.format())
    except BaseException:
        text = ""
    data = storable(text.rstrip("\n"))
    return data if len(data) <= LONGEST_DETAIL else data[-LONGEST_DETAIL:].decode("utf-8", "ignore").encode("utf-8")


def verdict_of(error):
    """What an exception with `__hark_verdict__` says: the kind of reply, its number, the reason. None if it has none that makes sense."""
    verdict = getattr(error, "__hark_verdict__", None)
    try:
        if verdict[0] == "retry":
            return RETRY, -1 if verdict[1] is None else nanoseconds(verdict[1]), str(verdict[2])
        if verdict[0] == "snooze":
            return SNOOZE, nanoseconds(verdict[1]), ""
        return {"fail": FAIL, "cancel": CANCEL}[verdict[0]], 0, str(verdict[1])
    except (TypeError, LookupError, ValueError, OverflowError):
        return None


def nanoseconds(seconds):
    number = int(float(seconds) * 1e9)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"a number of seconds from 0 to 9e9 was expected, not {seconds!r}")
    return number


# --- Functions by name ---------------------------------------------------------------------------------------------------------


def resolve(name, modules):
    """The object that a task names: a function, or a task of Django's Tasks API. The rules are those of Documentation/Python.md.

    Raises Refused with FAIL for what no later attempt would change, with ERROR for what a deploy may be about to bring.
    """
    module_name, _, attribute = name.rpartition(".")
    if not module_name or not all(part.isidentifier() for part in name.split(".")):
        raise Refused(FAIL, f"{name[:200]} is no name of a Python function: it is that of a module and that of a function in it, sim.services.calculate")
    if any(part.startswith("_") for part in name.split(".")):
        raise Refused(FAIL, f"{name} may not be run: names that begin with an underscore are private")
    if not any(module_name == module or module_name.startswith(module + ".") for module in modules):
        raise Refused(FAIL, f"{name} may not be run: this worker's modules are {', '.join(modules)} ([python] modules)")
    module = load(module_name)
    try:
        found = getattr(module, attribute)
    except AttributeError:
        raise Refused(ERROR, f"{module_name} has no function {attribute}") from None
    function = found.func if is_django_task(found) else found
    if isinstance(function, (type, ModuleType)) or not callable(function):
        what = "a class" if isinstance(function, type) else "a module" if isinstance(function, ModuleType) else f"a {type(function).__qualname__}"
        raise Refused(FAIL, f"{name} is no function: it is {what}")
    owner = getattr(function, "__module__", None)
    if owner != module_name and attribute not in getattr(module, "__all__", ()):
        possessive = module_name + ("'" if module_name.endswith("s") else "'s")
        raise Refused(FAIL, f"{name} is not {possessive} own: it is {owner}.{getattr(function, '__qualname__', type(function).__qualname__)}")
    return found


def load(module_name):
    try:
        __import__(module_name)
        return sys.modules[module_name]
    except ModuleNotFoundError as error:
        # Of the module itself, or of a package that it is in? Else it is there, and imports something that is not.
        if error.name and (module_name + ".").startswith(error.name + "."):
            import importlib

            importlib.invalidate_caches()
            raise Refused(ERROR, f"there is no module {error.name}") from None
        raise Refused(ERROR, f"cannot import {module_name}: {message_of(error)}", detail_of(error)) from None
    except Exception as error:
        raise Refused(ERROR, f"cannot import {module_name}: {message_of(error)}", detail_of(error)) from None


def is_django_task(found):
    return not isinstance(found, type) and hasattr(found, "func") and hasattr(found, "get_backend")


def through_backend(task):
    """What runs a task of Django's Tasks API: its backend, if that is ours, because only it knows how to pass a context."""
    run = getattr(task.get_backend(), "run_hark_task", None)
    return (lambda *args, **kwargs: run(task, current(), args, kwargs)) if run else task.func


def misfit(function, args, kwargs):
    """Why arguments do not fit a function's signature; None if they do, or nobody knows."""
    try:
        if is_django_task(function):
            args, function = ((None, *args) if getattr(function, "takes_context", False) else args), function.func
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        return f"{str(signature)[:200]}: {error}"
    return None


class Current:
    """The task that runs, for the function. Client packages find it as `sys.modules["_hark"].current()`."""

    __slots__ = ("id", "token", "function", "queue", "attempt", "max_attempts", "timeout")

    def __init__(self, header, function, queue):
        _, _, self.id, self.token, self.attempt, self.max_attempts, timeout, _, _ = header
        self.function, self.queue, self.timeout = function.decode(), queue.decode(), timeout or None

    def alive(self):
        self._say(ALIVE, 0)

    def extend(self, seconds):
        self._say(EXTEND, nanoseconds(seconds))

    def _say(self, kind, number):
        # A thread that has outlived its task speaks for nobody.
        if interpreter and interpreter.task and interpreter.task[0][2:4] == (self.id, self.token):
            interpreter.send(REPLY.pack(18, kind, 0, self.id, number))


def current():
    task = interpreter and interpreter.task
    return Current(*task[:3]) if task else None


# --- An interpreter ------------------------------------------------------------------------------------------------------------


class Interpreter:
    def __init__(self, settings, tasks, control):
        self.modules = settings["modules"]
        self.result_limit = settings["result_limit"]
        self.memory_limit = settings["memory_limit"]
        self.tasks_left = settings["tasks_per_interpreter"] or -1
        self.tasks, self.control = tasks, control
        self.receive, self.transmit = tasks.recv, tasks.sendall
        self.pid = os.getpid()
        self.main = get_ident()

        self.busy = True
        self.again = False
        self.sending = False
        self.lock = RLock()
        self.late = collections.deque()  # Frames that came up in the midst of another one's `send`, in the same thread.

        self.pending = collections.deque()  # Tasks that have not begun: (header, function, queue, args).
        self.rest = bytearray()  # The beginning of a frame, and how many bytes it takes to be worth a look.
        self.need = TASK.size
        self.ended = False

        self.task = None
        self.stop = self.raise_stop
        self.stopped = False
        self.retired = False
        self.results = Results()
        self.functions = {}
        self.threads = set(threading.enumerate())
        self.thread_count = thread_count()
        self.told_of_threads = set()
        self.looked_at = time.monotonic()

        signals = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD, WAKE)
        self.signals = tuple(int(number) for number in signals)
        signal.signal(WAKE, self.on_signal)
        self.handlers = tuple(map(getsignal, self.signals))
        self.every_signal = signal.valid_signals()
        self.umask = os.umask(0o022)
        os.umask(self.umask)
        self.directory = os.getcwd()
        self.descriptors = tuple(os.fstat(number)[1:3] for number in (0, 1, 2))

        self.poll = select.poll()
        self.poll.register(tasks, select.POLLIN)
        self.poll.register(control, select.POLLIN)

    # The sockets

    def send(self, frame):
        """Writes one frame, from any thread, also in the midst of a signal handler or a finalizer."""
        if get_ident() != self.main:
            with self.lock:
                self.put(frame)
            return
        if self.sending:
            self.late.append(frame)
            return
        was = self.busy
        try:
            self.busy = self.sending = True
            with self.lock:
                self.put(frame)
                while self.late:
                    self.put(self.late.popleft())
        finally:
            self.sending = False
            self.busy = was
        if self.late:
            self.send(self.late.popleft())
        if self.again and not was:
            self.wake(False)

    def put(self, frame):
        try:
            self.transmit(frame)
        except OSError as error:
            self.lost(error)

    def lost(self, error):
        """The connection is gone: with the worker, or because the function has closed its descriptor."""
        os._exit(83 if error.errno in (errno.EBADF, errno.ENOTSOCK) else 0)

    def log(self, text, stream=2):
        id = self.task[0][2] if self.task else 0
        for payload in pieces(text):
            self.send(REPLY.pack(18 + len(payload), LOG, 0, id, stream) + payload)

    def fill(self):
        """Reads what there is, without waiting, and cuts it into tasks. Returns whether there may be more."""
        try:
            data = self.receive(READ_AT_ONCE, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        except OSError as error:
            self.lost(error)
        except MemoryError:
            self.lift_memory_limit()
            return True
        if not data:
            self.ended = True
            return False
        if self.rest:
            self.rest += data
            if len(self.rest) < self.need:
                return True
            data = bytes(self.rest)
            self.rest.clear()
        start, size = 0, len(data)
        self.need = TASK.size
        while size - start >= 41:
            header = TASK.unpack_from(data, start)
            function = start + 41
            queue = function + header[7]
            args = queue + header[8]
            end = start + 4 + header[0]
            if header[1] != 1 or args > end:
                write_all(2, b"the worker sent what is no task\n")
                os._exit(70)
            if end > size:
                self.need = end - start
                break
            self.pending.append((header, data[function:queue], data[queue:args], data[args:end]))
            start = end
        self.rest += data[start:] if start else data
        if self.retired:
            self.pending.clear()
        return True

    def wait(self):
        """Until there is a task to begin, or the worker has said goodbye."""
        if self.fill() or self.pending:
            return
        while not self.pending:
            if self.ended:
                self.leave()
            for descriptor, event in self.poll.poll():
                if event & select.POLLNVAL:
                    os._exit(83)
                if descriptor == self.control.fileno():
                    self.again = True
            self.fill()
            if self.again and not self.pending:
                self.wake(True)
        if self.django:
            self.django.clean()

    def on_signal(self, number, frame):
        self.again = True
        if not self.busy and interpreter is self:
            self.wake(False)

    def wake(self, busy):
        """Does what the worker says on the control socket; leaves `busy` as given. May raise TaskStopped if that is false."""
        stop = False
        while self.again:
            mask = pthread_sigmask(signal.SIG_BLOCK, ())
            try:
                self.busy = True
                pthread_sigmask(signal.SIG_BLOCK, self.every_signal)
                self.again = False
                stop = self.obey() or stop
            finally:
                self.busy = busy
                pthread_sigmask(signal.SIG_SETMASK, mask)
        if stop:
            self.stop()

    def obey(self):
        stop = recall = False
        while True:
            try:
                data = self.control.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError as error:
                self.lost(error)
            if not data:
                self.poll.unregister(self.control)
                break
            message = json.loads(data)
            if "interrupt" in message:
                stop = stop or (self.task is not None and message["interrupt"] == self.task[0][2] and not self.stopped)
            recall = recall or message.get("recall", False)
        if recall:
            while self.fill():
                pass
            ids = [task[0][2] for task in self.pending]
            self.pending.clear()
            self.send(REPLY.pack(18 + 8 * len(ids), RECALLED, 0, 0, 0) + struct.pack(f"<{len(ids)}q", *ids))
        return stop

    def leave(self):
        """The orderly end. Threads that still run are not waited for."""
        try:
            if self.django:
                self.django.close()
            atexit._run_exitfuncs()
            sys.__stdout__.flush()
        finally:
            os._exit(0)

    # One task after the other

    def serve(self):
        global noticed
        pending, functions, lock, transmit = self.pending, self.functions, self.lock, self.transmit
        scan = json.JSONDecoder().scan_once
        clock, getpid, pack, encode = time.perf_counter_ns, os.getpid, REPLY.pack, self.results.encode
        self.send(pack(18, READY, 0, 0, self.pid))
        while True:
            if not pending:
                self.wait()
                continue
            self.task = task = pending.popleft()
            header, name, _, text = task
            id = header[2]
            noticed = 0
            payload, sentence, failure = b"", None, None
            args, kwargs = (), {}
            began = clock()
            try:
                try:
                    self.busy = False
                    if self.again:
                        self.wake(False)
                    function = functions.get(name) or self.resolve(name)
                    if text == b"[]":
                        result = function()
                    else:
                        args, _ = scan(text.decode(), 0)
                        if args.__class__ is dict:
                            args, kwargs = (), args
                            if kwargs.get("*").__class__ is list:
                                args = kwargs.pop("*")
                        result = function(*args, **kwargs)
                    if result is not None:
                        if result.__class__ is CoroutineType or isinstance(result, collections.abc.Coroutine):
                            result = self.run_coroutine(result)
                        if result.__class__ is GeneratorType:
                            result = self.run_generator(result)
                        payload, sentence = encode(result) if result is not None else (b"", None)
                    took = clock() - began
                    self.busy = True
                except BaseException as error:
                    self.busy = True
                    failure = error
            except BaseException as error:
                self.busy = True
                failure = error
            if getpid() != self.pid:
                os._exit(0 if failure is None else 1)
            if failure is not None:
                took = clock() - began
            result = None
            flags = self.tidy(sentence)
            if failure is None:
                if len(payload) <= self.result_limit:
                    reply = pack(18 + len(payload), DONE, flags, id, took) + payload
                else:
                    reply = pack(18, TOO_LARGE, flags, id, len(payload))
            else:
                reply = self.reply_to(failure, flags, id, took, args, kwargs)
                failure = None
            self.task = None
            self.stopped = False
            with lock:
                self.put(reply)
            if self.retired:
                pending.clear()

    def raise_stop(self):
        self.stopped = True
        raise TaskStopped("the task was stopped")

    def resolve(self, name):
        text = name.decode("utf-8", "replace")
        found = resolve(text, self.modules)
        function = through_backend(found) if is_django_task(found) else found
        self.functions[name] = function
        return function

    def run_generator(self, generator):
        """A generator's body is the function's: it runs, and fails, here. One without an end is not followed there."""
        items = []
        for item in generator:
            items.append(item)
            if len(items) > MANY:
                return generator
        return items

    def run_coroutine(self, coroutine):
        """Inside an event loop a stop cancels the asyncio task. Before there is one it is only noted, and behind it means nothing."""
        import asyncio

        def note():
            self.stopped = True

        async def main():
            loop, task = asyncio.get_running_loop(), asyncio.current_task()

            def cancel():
                self.stopped = True
                loop.call_soon_threadsafe(task.cancel)

            self.stop = cancel
            try:
                if self.stopped:
                    raise TaskStopped("the task was stopped")
                await self.tidy_other_thread()
                return await coroutine, None
            except BaseException as error:
                return None, error
            finally:
                self.stop = lambda: None
                await self.tidy_other_thread()

        self.stop = note
        try:
            result, error = asyncio.run(main())
        finally:
            self.stop = self.raise_stop
        if error is None:
            return result
        raise TaskStopped("the task was stopped") from error if self.stopped and isinstance(error, asyncio.CancelledError) else error

    async def tidy_other_thread(self):
        """Django's database calls in async functions are made in a thread that asgiref keeps, with connections of its own."""
        if self.django and thread_count() > 0:
            from asgiref.sync import sync_to_async

            await sync_to_async(self.django.clean)()

    def reply_to(self, error, flags, id, took, args, kwargs):
        kind, number, message, detail = ERROR, took, None, b""
        verdict = verdict_of(error)
        if isinstance(error, MemoryError):
            self.lift_memory_limit()
            flags |= RETIRE
            self.retired = True
        if isinstance(error, Refused):
            kind, message, detail = (*error.args, b"")[:3]
        elif verdict:
            kind, number, message = verdict
            number = took if kind == FAIL else number
            message = message.strip() or message_of(error)
        elif isinstance(error, TypeError) and error.__traceback__.tb_next is None:
            name = self.task[1].decode()
            reason = misfit(self.functions.get(self.task[1]), args, kwargs)
            if reason:
                kind, message = FAIL, f"arguments do not fit {name}{reason}"
        if kind == SNOOZE:
            return REPLY.pack(18, kind, flags, id, number)
        message = storable(message or message_of(error))
        detail = detail or (b"" if isinstance(error, Refused) else detail_of(error))
        return REPLY.pack(22 + len(message) + len(detail), kind, flags, id, number) + struct.pack("<I", len(message)) + message + detail

    # What a function leaves behind

    def tidy(self, sentence):
        """Puts everything back in its place, says what the function has left, and returns the flags of the reply."""
        flags = 0
        if tuple(map(getsignal, self.signals)) != self.handlers:
            for number, handler in zip(self.signals, self.handlers):
                if getsignal(number) is not handler and handler is not None:
                    signal.signal(number, handler)
        if getitimer(0)[0]:
            setitimer(0, 0)
        if pthread_sigmask(signal.SIG_BLOCK, ()):
            pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(self.umask)
        if sys.stdout is not OUT or sys.stderr is not ERR:
            sys.stdout, sys.stderr = OUT, ERR
        if OUT.parts:
            OUT.emit(True)
        if ERR.parts:
            ERR.emit(True)
        if sentence:
            self.log(sentence)
        if self.django:
            self.django.clean()
        elif "django.db" in sys.modules:
            self.django = Django.loaded()
        try:
            intact = tuple([os.fstat(number)[1:3] for number in (0, 1, 2)]) == self.descriptors
        except OSError:
            intact = False
        if not intact:
            self.log("the function closed or replaced its standard descriptors; this interpreter is replaced")
            flags |= RETIRE
        flags |= noticed & (SPAWNED | CHILDREN)
        if noticed & MOVED:
            try:
                os.chdir(self.directory)
            except OSError:
                flags |= RETIRE
        flags |= self.children()
        if thread_count() != self.thread_count:
            self.look_at_threads()
        now = time.monotonic()
        if now - self.looked_at > 0.1:
            self.looked_at = now
            for timer in (1, 2):
                if getitimer(timer)[0]:
                    setitimer(timer, 0)
            if self.memory_limit and resident() > self.memory_limit:
                flags |= RETIRE
        self.tasks_left -= 1
        if self.stopped:
            flags |= INTERRUPTED | RETIRE
        if self.tasks_left == 0:
            flags |= RETIRE
        if flags & CHILDREN:
            flags |= RETIRE
        if flags & RETIRE:
            self.retired = True
        return flags

    @staticmethod
    def children():
        """Collects children that have ended, and tells whether others live."""
        try:
            while True:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None:
                    return CHILDREN
                os.waitpid(ended.si_pid, 0)
        except ChildProcessError:
            return 0

    def look_at_threads(self):
        self.thread_count = thread_count()
        pools = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", ())
        left = [thread for thread in threading.enumerate() if not thread.daemon and thread not in self.threads and thread not in pools]
        self.threads.update(left)
        if left and self.task[1] not in self.told_of_threads:
            self.told_of_threads.add(self.task[1])
            self.log("threads of this function still run; they end with the interpreter")

    django = None

    def limit_memory(self):
        if self.memory_limit:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            with open("/proc/self/statm") as file:
                now = int(file.read().split()[5]) * resource.getpagesize()
            soft = max(2 * self.memory_limit, now + self.memory_limit)
            resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))

    @staticmethod
    def lift_memory_limit():
        """After a MemoryError: what is still to be said needs memory too."""
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


class Django:
    """Its database connections between two tasks."""

    @classmethod
    def loaded(cls):
        from django.conf import settings

        return cls() if settings.configured else None

    def __init__(self):
        from django.db import connections

        self.connections = connections

    def clean(self):
        """Rolls back what is open, and does what Django does between two requests: closes old connections, forgets logged queries."""
        for connection in self.connections.all(initialized_only=True):
            try:
                if self.is_in_transaction(connection):
                    self.roll_back(connection)
                connection.close_if_unusable_or_obsolete()
                connection.queries_log.clear()
            except Exception:
                self.drop(connection)

    def is_in_transaction(self, connection):
        raw = connection.connection
        if raw is None or connection.in_atomic_block:
            return connection.in_atomic_block
        if not connection.autocommit and connection.settings_dict["AUTOCOMMIT"]:
            return True
        # ACTIVE, INTRANS and INERROR of psycopg 2 and 3; sqlite3 has `in_transaction`.
        status = getattr(getattr(raw, "info", None), "transaction_status", 0)
        return status in (1, 2, 3) or getattr(raw, "in_transaction", False) is True

    def roll_back(self, connection):
        interpreter.log(f'the function left a transaction open on "{connection.alias}": rolled back')
        connection.in_atomic_block = connection.closed_in_transaction = False
        try:
            connection.rollback()
        except Exception:
            pass  # Closing does it too.
        connection.close()

    def drop(self, connection):
        try:
            connection.connection = None
            del self.connections[connection.alias]
        except Exception:
            pass

    def close(self):
        self.connections.close_all()

    def close_before_fork(self):
        """A connection belongs to one process. So does a pool of them, and what caches have open."""
        for connection in self.connections.all(initialized_only=True):
            connection.close()
            if getattr(connection, "_connection_pools", {}).get(connection.alias):
                connection.close_pool()
        caches = getattr(sys.modules.get("django.core.cache"), "caches", None)
        for cache in caches.all(initialized_only=True) if caches else ():
            cache.close()


# --- The fork server -----------------------------------------------------------------------------------------------------------

NOTICED = {"subprocess.Popen": SPAWNED, "os.posix_spawn": SPAWNED, "os.system": SPAWNED, "os.spawn": SPAWNED, "pty.spawn": SPAWNED}
NOTICED.update({"os.fork": CHILDREN, "os.forkpty": CHILDREN, "os.chdir": MOVED})


def audit(event, _):
    if event in NOTICED:
        global noticed
        noticed |= NOTICED[event]


def after_fork():
    """In what a function has forked: it is no interpreter, and the sockets are not its own."""
    global interpreter
    if interpreter is not None:
        stranger, interpreter = interpreter, None
        OUT.parts.clear()
        ERR.parts.clear()
        stranger.tasks.close()
        stranger.control.close()


def high(descriptor):
    """A copy out of the way of those who count descriptors from 0."""
    for lowest in (100, 30, 3):
        try:
            return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
        except OSError as error:
            if error.errno != errno.EINVAL or lowest == 3:
                raise


def become_interpreter(settings, server, descriptors):
    global interpreter
    try:
        os.setsid()
        os.dup2(descriptors[2], 1)
        os.dup2(descriptors[3], 2)
        tasks, control = (socket.socket(fileno=high(descriptor)) for descriptor in descriptors[:2])
        for descriptor in descriptors:
            os.close(descriptor)
        server.close()
        os.environ["HARK_INTERPRETER"] = str(os.getpid())
        import faulthandler

        faulthandler.enable(file=2, all_threads=False)
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()
        new = Interpreter(settings, tasks, control)
        if "django.db" in sys.modules:
            new.django = Django.loaded()
        new.limit_memory()
        interpreter = new
        new.serve()
    except BaseException:
        interpreter = None
        write_all(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
    finally:
        os._exit(1)


def prepare(settings):
    """Makes this process what a program of the project's would be, and loads the project."""
    with open("/proc/self/comm", "w") as file:
        file.write("hark-python")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    pthread_sigmask(signal.SIG_SETMASK, ())
    os.environ.pop("HARK_INTERPRETER", None)
    sys.argv = ["hark"]
    if sys.path and sys.path[0] == "":
        del sys.path[0]
    sys.path.insert(0, settings["directory"] or os.getcwd())
    sys.modules["__main__"] = ModuleType("__main__")
    module = ModuleType("_hark", "The worker that runs this code.")
    module.current, module.TaskStopped = current, TaskStopped
    sys.modules["_hark"] = module
    sys.stdout = sys.__stdout__ = OUT
    sys.stderr = sys.__stderr__ = ERR
    os.register_at_fork(after_in_child=after_fork)
    sys.addaudithook(audit)
    if settings["django_settings"]:
        os.environ["DJANGO_SETTINGS_MODULE"] = settings["django_settings"]
        import django

        django.setup()
    for name in settings["preload"]:
        __import__(name)
    if "django.db" in sys.modules:
        loaded = Django.loaded()
        if loaded:
            loaded.close_before_fork()
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if threads:
        print(f"loading the project has started threads, which interpreters will not have: {', '.join(threads)}", file=ERR)
    if settings["memory_limit"] and resident() > settings["memory_limit"]:
        size = resident() >> 20
        print(f"the project alone takes {size} MiB, and memory_limit is less: each interpreter is replaced after one task", file=ERR)
    import asyncio  # noqa: F401
    import dataclasses, datetime, decimal, enum, gc, uuid  # noqa: E401, F401

    gc.collect()
    gc.freeze()
    return getattr(sys.modules.get("django"), "__version__", None)


def serve_forks(first):
    server = socket.socket(fileno=high(first.fileno()))
    first.detach()
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)

    def say(**message):
        try:
            server.send(json.dumps(message).encode())
        except OSError:
            os._exit(0)

    settings = json.loads(server.recv(1 << 20) or os._exit(0))
    if sys.version_info < (3, 10):
        say(failed={"message": f"Python {sys.version.split()[0]} is too old: 3.10 or later is needed", "detail": ""})
        os._exit(1)
    try:
        version = prepare(settings)
    except BaseException as error:
        say(failed={"message": message_of(error), "detail": detail_of(error).decode()})
        os._exit(1)
    say(ready={"python": sys.version.split()[0], "django": version})
    while True:
        data, descriptors, _, _ = socket.recv_fds(server, 65536, 4, socket.MSG_CMSG_CLOEXEC)
        if not data:
            os._exit(0)
        request = json.loads(data)
        if "fork" in request:
            try:
                pid = os.fork()
                if pid == 0:
                    become_interpreter(settings, server, descriptors)
                say(forked=request["fork"], pid=pid)
            except OSError as error:
                say(forked=request["fork"], error=str(error))
            for descriptor in descriptors:
                os.close(descriptor)
        elif "reap" in request:
            try:
                _, status = os.waitpid(request["reap"], 0)
            except ChildProcessError:
                status = 0
            say(reaped=request["reap"], status=status)


OUT, ERR = Lines(1, "<stdout>"), Lines(2, "<stderr>")
serve_forks(s)  # noqa: F821, the loader's socket
