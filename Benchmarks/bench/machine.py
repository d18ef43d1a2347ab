"""The machine that the figures come from, and whether it has nothing else to do."""

import os
import platform
import time

from bench import processes


def _busy():
    """(busy, all) CPU time since the start of the machine, in ticks."""
    with open("/proc/stat") as file:
        fields = [int(field) for field in file.readline().split()[1:9]]
    return sum(fields) - fields[3] - fields[4], sum(fields)


def wait_for_quiet(progress, patience=300):
    """Waits until the CPUs are idle for half a second, since two cores are shared by everything that is measured here."""
    began = time.monotonic()
    told = False
    while time.monotonic() < began + patience:
        before = _busy()
        time.sleep(0.5)
        after = _busy()
        if after[0] - before[0] < 0.06 * (after[1] - before[1]):
            return
        if not told and time.monotonic() > began + 5:
            progress("waiting for the machine to become quiet")
            told = True
    progress("the machine does not become quiet")


class Disturbance:
    """Which share of the machine's CPUs somebody else uses from here on: not we, nor what we have started.

    The kernel's own threads, which write to the disk for us, are somebody else too: up to a few hundredths are normal.
    """

    LIMIT = 0.1

    def __init__(self):
        self._began = self._now()

    def _now(self):
        busy, everything = _busy()
        return busy * processes.TICK - processes.cpu(os.getpid()), everything * processes.TICK

    def share(self):
        others, everything = (after - before for after, before in zip(self._now(), self._began))
        return max(others, 0) / everything


def sync_time(directory):
    """Microseconds that writing one block of 8 KiB to the disk takes, the median of 200."""
    path = f"{directory}/sync"
    times = []
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        os.pwrite(descriptor, bytes(8192), 0)
        os.fsync(descriptor)
        for _ in range(200):
            began = time.perf_counter()
            os.pwrite(descriptor, bytes(8192), 0)
            os.fdatasync(descriptor)
            times.append(time.perf_counter() - began)
    finally:
        os.close(descriptor)
        os.unlink(path)
    return sorted(times)[100] * 1e6


def description(place):
    with open("/proc/cpuinfo") as file:
        models = [line.split(":")[1].strip() for line in file if line.startswith(("model name", "Model"))]
    with open("/proc/meminfo") as file:
        memory = int(file.readline().split()[1]) / 1024 / 1024
    return {
        "CPUs": f"{os.cpu_count()} x {models[0] if models else platform.machine()}",
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}",
        "disk": f"writing a block of 8 KiB with fdatasync takes {sync_time(place):.0f} us",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }
