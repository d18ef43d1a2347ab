"""Functions that do not behave. Each has a test that says what becomes of it, and that nobody else is hurt."""

import ctypes
import os
import resource
import signal
import subprocess
import sys
import threading
import time


class Trouble(Exception):
    pass


def raises(text):
    raise Trouble(text)


def raises_type_error():
    return len(5)


def exits(code):
    sys.exit(code)


def ends_process(code):
    os._exit(code)


def crashes():
    ctypes.string_at(0)


def recurses():
    return recurses()


def takes_memory(megabytes):
    return len(bytearray(megabytes << 20))


def sleeps(seconds):
    time.sleep(seconds)


def spins():
    while True:
        pass


def spins_in_c():
    # One call that never comes back to the interpreter.
    return sum(range(10**12))


async def sleeps_async(seconds):
    import asyncio

    print("began", flush=True)
    try:
        await asyncio.sleep(seconds)
    finally:
        print("cleaned up", flush=True)


def swallows():
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass


def closes_low():
    os.closerange(0, 10)


def closes_all():
    os.closerange(0, 4096)


def writes_everywhere():
    import stat

    for fd in range(3, 1024):
        try:
            if stat.S_ISSOCK(os.fstat(fd).st_mode):
                os.write(fd, b"hello, this is no frame at all\n" * 4)
        except OSError:
            pass


def forks():
    """The child returns from the function, too."""
    os.fork()
    return "once"


def leaves_child():
    subprocess.Popen(["sleep", "7100"])
    return "left"


def dies_before_its_child():
    """The child has the interpreter's stdout and stderr."""
    subprocess.Popen(["sleep", "7300"])
    os._exit(3)


def leaves_daemon():
    """In a session of its own, and nobody's child."""
    subprocess.run(["sh", "-c", "setsid sleep 7200 > /dev/null 2>&1 &"], check=True)
    return "left"


def runs_program():
    return subprocess.run(["echo", "hello"], check=True, capture_output=True, text=True).stdout.strip()


def installs_handlers():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM, signal.SIGCHLD, signal.SIGRTMIN + 5):
        signal.signal(number, lambda *_: None)
    signal.setitimer(signal.ITIMER_REAL, 0.05)


def handlers():
    return [
        signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        signal.getsignal(signal.SIGALRM) == signal.SIG_DFL,
        signal.getitimer(signal.ITIMER_REAL)[0],
    ]


def leaves_thread():
    threading.Thread(target=time.sleep, args=(600,)).start()
    return "left"


def limits_descriptors():
    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))


def changes_directory():
    os.chdir("/")


class Verdict(Exception):
    def __init__(self, *words):
        self.__hark_verdict__ = words


def says(*words):
    raise Verdict(*words)


def waits_for(path):
    """A door that a test opens."""
    print("waiting", flush=True)
    while not os.path.exists(path):
        time.sleep(0.005)
    return "through"
