"""What /proc knows of processes: who belongs to whom, CPU time, memory."""

import os
import time

TICK = 1 / os.sysconf("SC_CLK_TCK")


def _status(pid):
    """Parent, own CPU time and that of the children it has waited for, in seconds; None when the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            # The name, in parentheses, may hold anything.
            fields = file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), (int(fields[11]) + int(fields[12])) * TICK, (int(fields[13]) + int(fields[14])) * TICK


def tree(root):
    """The process and all that descend from it: {pid: CPU seconds}, the root's with what its dead children used."""
    everybody = {int(name): status for name in os.listdir("/proc") if name.isdigit() and (status := _status(int(name)))}
    found, todo = {}, [root]
    while todo:
        pid = todo.pop()
        if pid not in everybody:
            continue
        _, own, of_children = everybody[pid]
        found[pid] = own + of_children
        todo += [child for child, (parent, _, _) in everybody.items() if parent == pid]
    return found


def cpu(*roots):
    """CPU seconds of these processes and their descendants, the dead ones too where somebody has waited for them."""
    return sum(sum(tree(root).values()) for root in roots)


def named(root, name):
    """Those of the tree that have this name."""
    return [pid for pid in tree(root) if _name(pid) == name]


def _name(pid):
    try:
        with open(f"/proc/{pid}/comm") as file:
            return file.read().strip()
    except (FileNotFoundError, ProcessLookupError):
        return None


def parent(pid):
    return _status(pid)[0]


def precise_cpu(pid):
    """CPU seconds of a process without its children: to the nanosecond, where `cpu` counts to the hundredth."""
    # The clock of another process, as clock_getcpuclockid(3) makes its number.
    return time.clock_gettime((~pid << 3) | 2)


def memory(pid):
    """(PSS, private) in MB: its share of the memory that it maps, and what is its alone."""
    sizes = memory_map(pid)
    return sizes["Pss"], sizes["Private_Clean"] + sizes["Private_Dirty"]


def memory_map(pid):
    """Every sum of smaps_rollup, in MB: `Pss`, `Pss_Anon` and others."""
    sizes = {}
    with open(f"/proc/{pid}/smaps_rollup") as file:
        for line in file.readlines()[1:]:
            name, size = line.split()[:2]
            sizes[name.rstrip(":")] = int(size) / 1024
    return sizes


def peak(pid):
    """The most that it had resident at any moment, in MB."""
    return int(_field(pid, "VmHWM").split()[0]) / 1024


def sleeps(pid):
    """How often each of its threads has gone to sleep so far."""
    counts = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            counts[thread] = int(_field(f"{pid}/task/{thread}", "voluntary_ctxt_switches"))
        except (FileNotFoundError, ProcessLookupError):
            # It has ended meanwhile.
            pass
    return counts


def _field(pid, name):
    with open(f"/proc/{pid}/status") as file:
        return next(line.partition(":")[2].strip() for line in file if line.startswith(f"{name}:"))
