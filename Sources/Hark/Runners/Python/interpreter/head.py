"""The Python side of Hark's Python runner. It travels inside the worker's binary and needs nothing but the standard library of Python 3.10
or later; nothing of Hark is installed in the project's environment. The files of this folder are one program: the worker joins them, in the order
head, printing, results, functions, interpreter, django, fork_server, and sends that.

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

and the flags of the first seven: RETIRE, nothing more is begun here; SPAWNED, the function has started a process, and nothing is begun before the next recall; CHILDREN, one of them
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
