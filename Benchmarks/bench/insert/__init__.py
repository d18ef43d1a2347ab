"""What an INSERT costs: the benchmark `insert`."""

from bench.insert import clients, slow_disk

PARTS = {"clients": clients, "slow_disk": slow_disk}


def versions():
    return {}
