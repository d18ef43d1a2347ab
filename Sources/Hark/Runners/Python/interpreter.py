"""The Python side of Hark's Python runner. It travels inside the worker's binary as this one file and needs nothing but the
standard library of Python 3.10 or later; nothing of Hark is installed in the project's environment.

Two sorts of process run it.

The fork server is started once. The worker sends it this source and then its settings, on a socket of packets that is descriptor 0. It
loads the project (Django, `preload`), says `ready`, and from then on forks an interpreter whenever it is asked to. It is the
parent of all interpreters, and waits for one only when told `reap`: until then its pid stays its own, and no signal of the
worker's reaches a stranger. When the worker is gone, so is the fork server.

An interpreter runs the functions of tasks, one at a time, in its main thread. It has two sockets. On the first, a stream, tasks
come in and replies go out, as frames laid out like `TASK` and `REPLY`. Tasks may be handed ahead. They are run in their order, and
the reply to one is written before the next begins: whatever ends this process costs one task. On the second, a socket of packets, the worker
says `interrupt` (stop this task if its function runs) and `recall` (give back what has not begun), and then sends the
signal WAKE, because the main thread may be in the midst of a function. The kinds of reply, with what `number` and the payload are:

    DONE          run time in ns               the result as JSON, nothing for None
    ERROR, FAIL   run time in ns               how many bytes the message has (u32), the message, the traceback
    RETRY         pause in ns, -1: as usual    the same
    CANCEL        0                            the same
    SNOOZE        pause in ns
    TOO_LARGE     bytes of the result, which stays here
    LOG           1: stdout, 2: stderr         lines with newlines between them; the id is that of the current task, or 0
    RECALLED      0                            ids (i64 each) that have not begun and will not
    ALIVE         0
    EXTEND        ns that the timeout shall not come before
    READY         pid                          the first frame

and the flags of the first seven: RETIRE, nothing more is begun here; SPAWNED, the function has started a process; CHILDREN, one of them
lives, or the function has forked: nothing more is begun here either; INTERRUPTED, the stop reached the function.

Python runs a signal handler in the main thread between any two bytecodes, also between those of this file. That is the race here,
and one rule meets it: the handler acts only while `busy` is false, and `busy` is false only while a function runs. Everywhere
else it leaves a note in `again`, and whoever ends the busy part looks at the note. So this code never meets itself:

- `serve` is busy but for the call of the function, and looks at the note when the task has become the current one. An interrupt
  sent in the moment between two tasks is therefore found when its task begins. One for a task that has ended means nothing.
- While it waits for tasks it polls both sockets, and needs no signal. It reads the tasks before the control socket, because the
  worker hands over a task before it says anything about it.
- A function that prints is in this code for that long: `send` is busy, and looks at the note when it is done.
- `TaskStopped` is raised by the handler, once for a task, and only where `busy` was false: within both `try` of `serve`. There
  are two because a stop may come after the function has raised something else, and before `busy` is true again.
- In an event loop nothing is raised, for it could hit the loop itself: the asyncio task is cancelled.

One race is left to the worker. A signal that comes after Python has last looked for one, and before the system call in which the
function then sleeps, is noticed when that call returns. So the worker sends WAKE again until it has its answer; that it says
nothing new does no harm.

Signal handlers of the function are foreign code in the same places, and may raise. They are gone before the reply is written. While the
handler of WAKE works, all signals are masked. And what a function prints is written in pieces so small that the kernel takes each
as a whole or not at all (it cuts what is written to a unix(7) stream above 32 KiB), so that no frame is cut in two, and none gets into another.
"""

import sys

__name__ = "_hark"  # What is defined here is no part of `__main__`, which is the project's.

import atexit, collections, dataclasses, datetime, decimal, enum, errno, faulthandler, fcntl, gc, importlib, inspect, io, itertools
import json, math, os, re, resource, select, signal, socket, struct, threading, time, traceback, uuid
from _signal import getitimer, getsignal, pthread_sigmask, setitimer  # Those of `signal` wrap every number in an enum.
from _thread import RLock, _count as thread_count, get_ident
from collections import abc
from types import GeneratorType, ModuleType

WAKE = signal.SIGRTMIN + 5
# How many bytes follow, kind 1, id, token, attempt, max_attempts, timeout, bytes of function and of queue; then these, and args.
TASK = struct.Struct("<IBqqiidHH")
REPLY = struct.Struct("<IBBqq")  # How many bytes follow, kind, flags, id, number; then the payload.
DONE, ERROR, FAIL, RETRY, SNOOZE, CANCEL, TOO_LARGE, LOG, RECALLED, ALIVE, EXTEND, READY = range(1, 13)
RETIRE, SPAWNED, CHILDREN, INTERRUPTED = 1, 2, 4, 8

LINE, LOG_FRAME, DETAIL = 8 << 10, 16 << 10, 32 << 10  # The most bytes of each.
MANY = 10_000  # A generator or a QuerySet with more elements is stored as text.
OURS = "<hark>"  # The name of this file in tracebacks.
NOT_THEIRS = OURS, "<frozen importlib", importlib.__file__
SURROGATE, ESCAPE = re.compile("[\ud800-\udfff]"), re.compile(r"\\(u0000|.)")

interpreter = None  # The one that this process is. None in the fork server, and in what a function has forked.
noticed = 0  # What the audit hook has seen since the task began: SPAWNED, CHILDREN, MOVED.
MOVED = 64


class TaskStopped(KeyboardInterrupt):
    """Raised in a function whose task is to stop: its time is up, it was cancelled, or the worker ends.

    A KeyboardInterrupt, because libraries know what that means: psycopg cancels the query on the server, asyncio leaves its loop.
    """


class Refused(Exception):
    """The function of a task cannot be had: the kind of reply, the message, the detail."""


# --- What functions print ------------------------------------------------------------------------------------------------------


class Lines(io.TextIOBase):
    """sys.stdout or sys.stderr. In an interpreter whole lines become LOG frames; elsewhere everything goes to the descriptor.

    The parts of a line wait in a deque, whose operations are atomic: threads and signal handlers print whenever they like.
    """

    encoding, errors, mode, line_buffering, write_through = "utf-8", "backslashreplace", "w", True, False

    def __init__(self, descriptor, name):
        self.descriptor, self.name = descriptor, name
        self.parts, self.size = collections.deque(), 0
        self.buffer = Bytes()
        self.buffer.lines = self

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if interpreter is None:
            write_all(self.descriptor, text.encode("utf-8", "backslashreplace"))
        elif text:
            self.parts.append(text)
            self.size += len(text)
            if "\n" in text or self.size > LINE:
                self.emit()
        return len(text)

    def emit(self, everything=False):
        """Sends the lines that are complete, of one that is too long all but its end, or at the end of a task everything."""
        taken = []
        try:
            while True:
                taken.append(self.parts.popleft())
        except IndexError:
            pass
        text, newline, rest = "".join(taken).rpartition("\n")
        cut = len(rest) if everything else (len(rest) - 1) // LINE * LINE
        if cut > 0:
            text, newline, rest = text + newline + rest[:cut], "\n", rest[cut:]
        if rest:
            self.parts.appendleft(rest)
        self.size = len(rest)
        if newline:
            interpreter.log(text, self.descriptor)

    def fileno(self):
        return self.descriptor

    def writable(self):
        return True

    def close(self):
        pass

    def reconfigure(self, **_):
        pass


class Bytes(io.RawIOBase):
    """The `buffer` of such a stream."""

    def write(self, data):
        self.lines.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)

    fileno = property(lambda self: self.lines.fileno)
    writable, close = Lines.writable, Lines.close


OUT, ERR = Lines(1, "<stdout>"), Lines(2, "<stderr>")


def write_all(descriptor, data):
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        pass  # Nobody reads it any more, or the function has closed it.


def log_frames(text):
    """Lines of bounded length, with newlines between them, as many as go into one frame."""
    payload = None
    for line in text.encode("utf-8", "backslashreplace").replace(b"\0", b"?").split(b"\n"):
        while line is not None:
            end = min(len(line), LINE)
            while end < len(line) and line[end] & 0xC0 == 0x80:  # Not within a character.
                end -= 1
            piece, line = line[:end], line[end:] or None
            if payload is not None and len(payload) + len(piece) >= LOG_FRAME:
                yield payload
                payload = None
            payload = piece if payload is None else payload + b"\n" + piece
    yield payload


# --- Results and errors --------------------------------------------------------------------------------------------------------


def refuse(value):
    raise TypeError(f"no JSON for a {type(value).__qualname__}")


markers = {}
chunks_of = json.encoder.c_make_encoder(markers, refuse, json.encoder.encode_basestring, None, ":", ",", False, False, False)


def encode(value):
    """The JSON that PostgreSQL takes, and a sentence for the log if something of the value could only be kept as text."""
    sentence = None
    try:
        text = "".join(chunks_of(value, 0))
    except Exception:
        text, sentence = encode_anything(value)
    if "\\u0000" in text:  # Which may also be two backslashes, and then four digits.
        text = ESCAPE.sub(lambda escape: "\ufffd" if escape[1] == "u0000" else escape[0], text)
    try:
        return text.encode(), sentence
    except UnicodeEncodeError:
        return SURROGATE.sub("\ufffd", text).encode(), sentence


def encode_anything(value):
    kinds = {}
    try:
        markers.clear()  # What the encoder was in the midst of when it gave up.
        text = "".join(chunks_of(plain(value, kinds), 0))
        names = ", ".join(map(with_article, list(kinds)[:5]))
        return text, f"the result has {names}, which JSON cannot hold: stored as text" if kinds else None
    except Exception as error:
        markers.clear()
        reason = "it is circular or too deep" if isinstance(error, RecursionError) else message_of(error)
        try:
            text = repr(value)
        except Exception:
            text = object.__repr__(value)
        return json.dumps(text, ensure_ascii=False), f"JSON cannot hold the result ({reason}): stored as text"


def plain(value, kinds):
    """The same in dicts, lists, texts and numbers. `kinds` gets the names of the types that have become text for want of anything better."""
    if isinstance(value, enum.Enum):
        return plain(value.value, kinds)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        kinds["NaN" if math.isnan(value) else "Infinity"] = True
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, abc.Mapping):
        return {plain_key(key): plain(item, kinds) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), kinds) for field in dataclasses.fields(value)}
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return duration(value)
    if isinstance(value, (decimal.Decimal, uuid.UUID, of_project("django.utils.functional", "Promise"))):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return repr(bytes(value))
    if isinstance(value, (of_project("numpy", "ndarray"), of_project("numpy", "generic"))):
        return plain(value.tolist(), kinds)
    query_set = isinstance(value, of_project("django.db.models", "QuerySet"))
    if query_set or isinstance(value, (list, tuple, collections.deque, abc.Set, abc.ValuesView, abc.Iterator, range)):
        some = value[: MANY + 1] if query_set else itertools.islice(value, MANY + 1) if isinstance(value, abc.Iterator) else value
        items = [plain(item, kinds) for item in some]
        if len(items) <= MANY or some is value:
            return items
    kinds[type(value).__qualname__] = True
    try:
        return str(value)
    except Exception:
        return object.__repr__(value)


def plain_key(key):
    if key is None or isinstance(key, (str, bool, int)) and not isinstance(key, enum.Enum):
        return key
    key = plain(key, {})
    return key if isinstance(key, str) else str(key)


def duration(delta):
    """ISO 8601, as Django writes it."""
    sign, delta = ("-", -delta) if delta.days < 0 else ("", delta)
    minutes, seconds = divmod(delta.seconds, 60)
    fraction = f".{delta.microseconds:06}" if delta.microseconds else ""
    return f"{sign}P{delta.days}DT{minutes // 60:02}H{minutes % 60:02}M{seconds:02}{fraction}S"


def of_project(module, name):
    """A class of a library that the project has loaded; nothing is an instance of one that it has not."""
    return getattr(sys.modules.get(module), name, ())


def with_article(noun):
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def storable(text):
    """Bytes of a text that PostgreSQL takes."""
    return SURROGATE.sub("\ufffd", text.replace("\0", "\ufffd")).encode()


def message_of(error):
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "_hark") else f"{kind.__module__}.{kind.__qualname__}"
    try:
        text = "the function called sys.exit" if kind is SystemExit and error.code in (None, 0) else str(error).strip().partition("\n")[0]
    except BaseException:
        text = ""
    return f"{name}: {text}"[:500] if text else name


def detail_of(error):
    """The traceback, of the project's frames, with causes; its end, if it is long. Empty if there is no memory or stack for it."""
    try:
        whole = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
        waiting = [whole]
        while waiting:
            part = waiting.pop()
            part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(NOT_THEIRS)]
            waiting += filter(None, [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())])
        data = storable("".join(whole.format()).rstrip("\n"))
    except BaseException:
        return b""
    return data if len(data) <= DETAIL else data[-DETAIL:].decode("utf-8", "ignore").encode()


def verdict_of(error):
    """What `__hark_verdict__` of an exception says: the kind of reply, its number, the reason. None if there is none that makes sense."""
    try:
        verdict = error.__hark_verdict__
        if verdict[0] == "retry":
            return RETRY, -1 if verdict[1] is None else nanoseconds(verdict[1]), str(verdict[2])
        if verdict[0] == "snooze":
            return SNOOZE, nanoseconds(verdict[1]), ""
        return {"fail": FAIL, "cancel": CANCEL}[verdict[0]], 0, str(verdict[1])
    except Exception:
        return None


def nanoseconds(seconds):
    number = int(float(seconds) * 1e9)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"a number of seconds from 0 to 9e9 was expected, not {seconds!r}")
    return number


# --- Functions by name ---------------------------------------------------------------------------------------------------------


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


# --- An interpreter ------------------------------------------------------------------------------------------------------------


class Interpreter:
    django = None

    def __init__(self, settings, tasks, control):
        self.modules, self.result_limit, self.memory_limit = settings["modules"], settings["result_limit"], settings["memory_limit"]
        self.tasks_left = settings["tasks_per_interpreter"] or -1
        self.tasks, self.control = tasks, control
        self.pid, self.main, self.lock = os.getpid(), get_ident(), RLock()
        self.busy, self.again, self.is_heard = True, False, True

        self.pending = collections.deque()  # What has not begun: (header, function, queue, args).
        self.rest, self.need = bytearray(), TASK.size  # The beginning of a frame, and how long it must get to be worth a look.
        self.ended = self.retired = False

        self.task, self.stop, self.stopped = None, self.raise_stop, False
        self.found, self.functions = {}, {}  # By the bytes of their names: what was found, and how it is called.

        self.looked_at = time.perf_counter_ns()
        self.threads, self.thread_count, self.told_of_threads = set(threading.enumerate()), thread_count(), set()
        signals = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD, WAKE
        signal.signal(WAKE, self.on_signal)
        self.signals, self.every_signal = tuple(map(int, signals)), signal.valid_signals()
        self.handlers = tuple(map(getsignal, self.signals))
        self.directory, self.umask = settings["directory"], os.umask(0)
        os.umask(self.umask)
        self.descriptors = [os.fstat(number)[1:3] for number in (0, 1, 2)]
        watch = select.epoll()
        self.watch = select.epoll.fromfd(high(watch.fileno()))
        self.watch.register(1, 0)
        self.watch.register(2, 0)
        self.poll = select.poll()
        self.poll.register(tasks, select.POLLIN)
        self.poll.register(control, select.POLLIN)

    # Frames

    def send(self, frame):
        """Writes a frame, in whatever thread, also within a signal handler or a finalizer."""
        if get_ident() != self.main:
            return self.put(frame)
        was = self.busy
        try:
            self.busy = True
            self.put(frame)
        finally:
            self.busy = was
        if self.again and not was:
            self.wake(False)

    def put(self, frame):
        try:
            with self.lock:
                self.tasks.sendall(frame)
        except OSError as error:
            self.lost(error)

    @staticmethod
    def lost(error):
        """The connection is gone: with the worker, or because the function has closed its descriptor."""
        os._exit(83 if error.errno in (errno.EBADF, errno.ENOTSOCK) else 0)

    def log(self, text, stream=2):
        task = self.task
        for payload in log_frames(text):
            self.send(REPLY.pack(18 + len(payload), LOG, 0, task[0][2] if task else 0, stream) + payload)

    def fill(self):
        """Reads what is there, without waiting, and cuts it into tasks. Tells whether there may be more."""
        try:
            data = self.tasks.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        except OSError as error:
            self.lost(error)
        if not data:
            self.ended = True
            return False
        if self.rest:
            self.rest += data
            if len(self.rest) < self.need:
                return True
            data = bytes(self.rest)
            self.rest.clear()
        start, size, self.need = 0, len(data), TASK.size
        while size - start >= 41:
            header = TASK.unpack_from(data, start)
            queue = start + 41 + header[7]
            args, end = queue + header[8], start + 4 + header[0]
            if header[1] != 1 or args > end:
                write_all(2, b"the worker has sent what is no task\n")
                os._exit(70)
            if end > size:
                self.need = end - start
                break
            self.pending.append((header, data[start + 41 : queue], data[queue:args], data[args:end]))
            start = end
        if start < size:
            self.rest += data[start:]
        if self.retired:
            self.pending.clear()
        return True

    def wait(self):
        """Until there is a task to begin. Does not return if there will be none."""
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
        """Does what the worker has said on the control socket, and leaves `busy` as given. May raise TaskStopped if that is false."""
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
        """Reads all that is there, and answers each recall. Tells whether the current task is to stop."""
        stop = False
        while self.is_heard:
            try:
                data = self.control.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError as error:
                self.lost(error)
            if not data:
                self.is_heard = False
                self.poll.unregister(self.control)
                break
            message = json.loads(data)
            stop = stop or self.task is not None and not self.stopped and message.get("interrupt") == self.task[0][2]
            if message.get("recall"):
                while self.fill():
                    pass
                ids = [task[0][2] for task in self.pending]
                self.pending.clear()
                self.send(REPLY.pack(18 + 8 * len(ids), RECALLED, 0, 0, 0) + struct.pack(f"<{len(ids)}q", *ids))
        return stop

    # One task after the other

    def serve(self):
        global noticed
        pending, functions, put, pack = self.pending, self.functions, self.put, REPLY.pack
        clock, getpid, scan = time.perf_counter_ns, os.getpid, json.JSONDecoder().scan_once
        self.send(pack(18, READY, 0, 0, self.pid))
        while True:
            if not pending:
                self.wait()
            self.task = pending.popleft()
            header, name, _, text = self.task
            args, kwargs, result, payload, sentence, failure = (), {}, None, b"", None, None
            noticed = 0
            began = clock()
            try:
                try:
                    self.busy = False
                    if self.again:
                        self.wake(False)
                    function = functions.get(name)
                    if function is None:
                        function = self.resolve(name)
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
                        payload, sentence = self.payload_of(result)
                    ended = clock()
                    self.busy = True
                except BaseException as error:
                    self.busy = True
                    failure = error
            except BaseException as error:
                self.busy = True
                failure = error
            if getpid() != self.pid:
                os._exit(0 if failure is None else 1)  # The function has forked, and returned in the child as well.
            if failure is not None:
                ended = clock()
            result = None
            try:
                flags = self.tidy(ended, sentence)
            except BaseException:  # There is no memory, or a signal handler of the function's has come at the last moment.
                self.lift_memory_limit()
                flags = self.tidy(ended, sentence) | RETIRE
            if failure is not None:
                reply = self.reply_to(failure, flags, ended - began, args, kwargs)
                failure = None
            elif len(payload) <= self.result_limit:
                reply = pack(18 + len(payload), DONE, flags, header[2], ended - began) + payload
            else:
                reply = pack(18, TOO_LARGE, flags, header[2], len(payload))
            self.task, self.stopped = None, False
            put(reply)
            if flags & (RETIRE | CHILDREN) or self.retired:
                self.retired = True
                pending.clear()
            args = kwargs = text = payload = reply = None  # Nothing of it is kept while the next one is waited for.

    def raise_stop(self):
        self.stopped = True
        raise TaskStopped("the task was stopped")

    def resolve(self, name):
        self.found[name] = found = find(name.decode("utf-8", "replace"), self.modules)
        self.functions[name] = function = callable_of(found)
        return function

    def payload_of(self, result):
        """The body of a coroutine or a generator is the function's: it runs, fails and is stopped here."""
        if isinstance(result, abc.Coroutine):
            result = self.run_coroutine(result)
        if isinstance(result, GeneratorType):
            items = list(itertools.islice(result, MANY + 1))
            if len(items) > MANY:
                return encode(str(result))[0], "the result has a generator, which JSON cannot hold: stored as text"
            result = items
        return (b"", None) if result is None else encode(result)

    def run_coroutine(self, coroutine):
        """A stop cancels the asyncio task. Before there is one it is only noted, and when the coroutine has ended it means nothing."""
        import asyncio

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

        def note():
            self.stopped = True

        self.stop = note
        try:
            result, error = asyncio.run(main())
        finally:
            self.stop = self.raise_stop
        if error is None:
            return result
        if self.stopped and isinstance(error, asyncio.CancelledError):
            raise TaskStopped("the task was stopped") from error
        raise error

    async def tidy_other_thread(self):
        """What an async function asks of Django's database happens in a thread that asgiref keeps, on connections of its own."""
        if self.django and thread_count() and not self.stopped:
            from asgiref.sync import sync_to_async

            await sync_to_async(self.django.clean)()

    def reply_to(self, error, flags, took, args, kwargs):
        kind, number, message, detail = ERROR, took, None, None
        verdict = verdict_of(error)
        if isinstance(error, MemoryError):
            self.lift_memory_limit()
            flags |= RETIRE
            self.retired = True
        if isinstance(error, Refused):
            kind, message, detail = (*error.args, b"")[:3]
        elif verdict:
            kind, number, message = verdict[0], took if verdict[0] == FAIL else verdict[1], verdict[2].strip()
        elif isinstance(error, TypeError) and self.task[1] in self.found:
            reason = misfit(self.found[self.task[1]], error, args, kwargs)
            if reason:
                kind, message, detail = FAIL, f"arguments do not fit {self.task[1].decode()}{reason}", b""
        payload = b""
        if kind != SNOOZE:
            message = storable(message or message_of(error))
            payload = struct.pack("<I", len(message)) + message + (detail_of(error) if detail is None else detail)
        return REPLY.pack(18 + len(payload), kind, flags, self.task[0][2], number) + payload

    # What a function leaves behind

    def tidy(self, now, sentence):
        """Puts back what the function has moved, says what it has left, and returns the flags of the reply."""
        flags = noticed & (SPAWNED | CHILDREN)
        if tuple(map(getsignal, self.signals)) != self.handlers:
            for number, handler in zip(self.signals, self.handlers):
                if handler is not None:
                    signal.signal(number, handler)
        if getitimer(0)[0]:
            setitimer(0, 0)
        if pthread_sigmask(0, ()):
            pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(self.umask)
        if sys.stdout is not OUT or sys.stderr is not ERR:
            sys.stdout, sys.stderr = OUT, ERR
        if OUT.parts or ERR.parts:
            OUT.emit(True)
            ERR.emit(True)
        if sentence:
            self.log(sentence)
        if self.django:
            self.django.clean()
        elif "django.db" in sys.modules:
            self.django = Django.loaded()
        if not self.has_descriptors():
            self.log("the function closed or replaced its standard descriptors; this interpreter is replaced")
            flags |= RETIRE
        if noticed & MOVED:
            try:
                os.chdir(self.directory)
            except OSError:
                flags |= RETIRE
        try:
            while True:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None:
                    flags |= CHILDREN
                    break
                os.waitpid(ended.si_pid, 0)
        except ChildProcessError:
            pass
        if thread_count() != self.thread_count:
            self.look_at_threads()
        self.tasks_left -= 1
        if self.tasks_left == 0:
            flags |= RETIRE
        if self.stopped:
            flags |= INTERRUPTED | RETIRE
        if now - self.looked_at > 100_000_000:
            self.looked_at = now
            setitimer(1, 0)
            setitimer(2, 0)
            if self.memory_limit and pages(1) > self.memory_limit:
                flags |= RETIRE
        return flags

    def has_descriptors(self):
        """Whether 0, 1 and 2 are what they were. Asking epoll for a pipe that it knows under this number costs half of an fstat."""
        try:
            self.watch.modify(1, 0)
            self.watch.modify(2, 0)
            if not os.get_blocking(0):  # As nothing else is that would come in its place.
                return True
        except OSError:
            pass
        try:
            return [os.fstat(number)[1:3] for number in (0, 1, 2)] == self.descriptors
        except OSError:
            return False

    def look_at_threads(self):
        self.thread_count = thread_count()
        pooled = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", ())
        left = [thread for thread in threading.enumerate() if not thread.daemon and thread not in self.threads and thread not in pooled]
        self.threads.update(left)
        if left and self.task[1] not in self.told_of_threads:
            self.told_of_threads.add(self.task[1])
            self.log("threads of this function still run; they end with the interpreter")

    def limit_memory(self):
        """Twice as much as it may keep, but in any case that much more than it has now."""
        if self.memory_limit:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            soft = max(2 * self.memory_limit, pages(5) + self.memory_limit)
            resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))

    @staticmethod
    def lift_memory_limit():
        """After a MemoryError: what is still to be said needs memory too."""
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))

    def leave(self):
        """The orderly end. Threads that still run are not waited for."""
        try:
            if self.django:
                self.django.connections.close_all()
            atexit._run_exitfuncs()
        finally:
            os._exit(0)


def pages(field):
    """A field of proc_pid_statm(5), in bytes: 1 is what is resident, 5 what RLIMIT_DATA limits."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[field]) * resource.getpagesize()


class Django:
    """Its database connections between two tasks."""

    def __init__(self):
        from django.db import connections

        self.connections = connections

    @classmethod
    def loaded(cls):
        from django.conf import settings

        return cls() if settings.configured else None

    def opened(self):
        try:
            return self.connections.all(initialized_only=True)
        except Exception:
            return []  # The settings have no databases that make sense.

    def clean(self):
        """Rolls back what is open, and does what Django does between two requests: closes old connections, forgets logged queries."""
        for connection in self.opened():
            try:
                if self.is_in_transaction(connection):
                    interpreter.log(f'the function left a transaction open on "{connection.alias}": rolled back')
                    self.roll_back(connection)
                connection.close_if_unusable_or_obsolete()
                connection.queries_log.clear()
            except Exception:
                connection.connection = None
                del self.connections[connection.alias]

    @staticmethod
    def is_in_transaction(connection):
        raw = connection.connection
        if raw is None or connection.in_atomic_block:
            return connection.in_atomic_block
        if connection.settings_dict["AUTOCOMMIT"] and not connection.autocommit:
            return True
        # ACTIVE, INTRANS and INERROR of psycopg 2 and 3; what sqlite3 has.
        return getattr(getattr(raw, "info", None), "transaction_status", 0) in (1, 2, 3) or getattr(raw, "in_transaction", False) is True

    @staticmethod
    def roll_back(connection):
        connection.in_atomic_block = connection.closed_in_transaction = False
        try:
            connection.rollback()
        except Exception:
            pass  # To close it does it as well.
        connection.close()

    def leave_to_children(self):
        """A connection belongs to one process. So does a pool of them, and what a cache has open."""
        for connection in self.opened():
            connection.close()
            if getattr(connection, "_connection_pools", {}).get(connection.alias):
                connection.close_pool()
        caches = getattr(sys.modules.get("django.core.cache"), "caches", None)
        for cache in caches.all(initialized_only=True) if caches else ():
            cache.close()


# --- The fork server -----------------------------------------------------------------------------------------------------------

NOTICED = dict.fromkeys(["subprocess.Popen", "os.posix_spawn", "os.system", "os.spawn", "pty.spawn"], SPAWNED)
NOTICED.update({"os.fork": CHILDREN, "os.forkpty": CHILDREN, "os.chdir": MOVED})


def audit(event, _):
    if event in NOTICED:
        global noticed
        noticed |= NOTICED[event]


def after_fork():
    """In what a function has forked: it is no interpreter, and the sockets are not its own."""
    global interpreter
    if interpreter is not None:
        interpreter.tasks.close()
        interpreter.control.close()
        interpreter = None
        OUT.parts.clear()
        ERR.parts.clear()


def high(descriptor):
    """A copy of it, out of the way of those who count descriptors from 0."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 100 if soft > 200 else 10)


def become_interpreter(settings, server, descriptors):
    global interpreter
    try:
        os.setsid()
        os.dup2(descriptors[2], 1)
        os.dup2(descriptors[3], 2)
        tasks, control = [socket.socket(fileno=high(descriptor)) for descriptor in descriptors[:2]]
        for descriptor in descriptors:
            os.close(descriptor)
        server.close()
        os.environ["HARK_INTERPRETER"] = str(os.getpid())
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()  # Python's own generator does this by itself.
        new = Interpreter(settings, tasks, control)
        if "django.db" in sys.modules:
            new.django = Django.loaded()
        new.limit_memory()
        interpreter = new
        new.serve()
    except BaseException:
        write_all(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
    finally:
        os._exit(1)


def prepare(settings):
    """Makes this process look like a program of the project's, and loads the project. Returns the version of Django."""
    with open("/proc/self/comm", "w") as file:
        file.write("hark-python")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    pthread_sigmask(signal.SIG_SETMASK, ())
    sys.argv = ["hark"]
    if sys.path[:1] == [""]:
        del sys.path[0]
    settings["directory"] = settings["directory"] or os.getcwd()
    sys.path.insert(0, settings["directory"])
    sys.modules["__main__"] = ModuleType("__main__")
    sys.modules["_hark"] = module = ModuleType("_hark", "The worker that runs this code.")
    module.current, module.TaskStopped = current, TaskStopped
    sys.stdout = sys.__stdout__ = OUT
    sys.stderr = sys.__stderr__ = ERR
    os.register_at_fork(after_in_child=after_fork)
    sys.addaudithook(audit)
    faulthandler.enable(file=2, all_threads=False)
    if settings["django_settings"]:
        os.environ["DJANGO_SETTINGS_MODULE"] = settings["django_settings"]
        import django

        django.setup()
    for name in settings["preload"]:
        __import__(name)
    import asyncio  # For all interpreters at once.

    if "django.db" in sys.modules:
        django = Django.loaded()
        if django:
            django.leave_to_children()
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if threads:
        print("loading the project has started threads, which no interpreter will have:", ", ".join(threads), file=ERR)
    if settings["memory_limit"] and pages(1) > settings["memory_limit"]:
        print(f"the project alone takes {pages(1) >> 20} MiB, more than memory_limit: an interpreter is replaced after each task", file=ERR)
    gc.collect()
    gc.freeze()
    return getattr(sys.modules.get("django"), "__version__", None)


def serve_forks(first):
    server = socket.socket(fileno=high(first.detach()))
    null = os.open("/dev/null", os.O_RDWR | os.O_NONBLOCK)
    os.dup2(null, 0)
    os.close(null)

    def say(**message):
        try:
            server.send(json.dumps(message, ensure_ascii=False).encode())
        except OSError:
            os._exit(0)

    settings = json.loads(server.recv(1 << 20) or os._exit(0))
    python = sys.version.split()[0]
    if sys.version_info < (3, 10):
        say(failed={"message": f"this is Python {python}, and 3.10 or later is needed", "detail": ""})
        os._exit(1)
    try:
        version = prepare(settings)
    except BaseException as error:
        say(failed={"message": storable(message_of(error)).decode(), "detail": detail_of(error).decode()})
        os._exit(1)
    say(ready={"python": python, "django": version})
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(server, 65536, 4, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            data = b""
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
        else:
            try:
                _, status = os.waitpid(request["reap"], 0)
            except ChildProcessError:
                status = 0
            say(reaped=request["reap"], status=status)


serve_forks(s)  # The loader's socket.
