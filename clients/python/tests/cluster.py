"""A PostgreSQL of our own, on a unix socket in a temporary directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path


def binaries() -> Path:
    """The newest version's server programs."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = debian[-1] if debian else Path(shutil.which("initdb") or "/nowhere").parent
    if not (found / "initdb").exists():
        raise FileNotFoundError("PostgreSQL is not installed: there is no initdb")
    return found


class Cluster:
    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="hark-python-", dir="/tmp"))
        # PostgreSQL refuses to run as root.
        self.user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.getuid() == 0 else []
        if self.user:
            shutil.chown(self.directory, "postgres", "postgres")
        self.directory.chmod(0o755)

    def start(self) -> None:
        data = self.directory / "data"
        self.run("initdb", "-D", data, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8")
        settings = f"""
            listen_addresses = ''
            unix_socket_directories = '{self.directory}'
            fsync = off
            max_connections = 120
            shared_buffers = 64MB
        """
        subprocess.run([*self.user, "tee", "-a", data / "postgresql.conf"], input=settings, text=True, stdout=subprocess.DEVNULL, check=True)
        self.run("pg_ctl", "-D", data, "-w", "-l", self.directory / "log", "start")

    def stop(self) -> None:
        try:
            self.run("pg_ctl", "-D", self.directory / "data", "-w", "-m", "immediate", "stop")
        finally:
            shutil.rmtree(self.directory)

    def run(self, program: str, *arguments: object) -> None:
        command = [*self.user, str(binaries() / program), *map(str, arguments)]
        done = subprocess.run(command, cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{program} failed: {done.stdout}{done.stderr}")

    def url(self, database: str, role: str | None = None) -> str:
        options = f"&options=-c%20role%3D{role}" if role else ""
        return f"postgresql:///{database}?host={self.directory}&user=postgres{options}"
