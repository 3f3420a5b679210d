"""The folders below a platform's home, and the checks that they can be used."""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import PlatformError

# The kernel's limit is 108 bytes on Linux and 104 on macOS; the supervisor appends a number while it binds.
_SOCKET_PATH_BYTES_MAX = 90


@dataclass(frozen=True)
class Layout:
    """Names every path of one platform. Nothing is created before `prepare`."""

    home: Path

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def sql(self) -> Path:
        return self.home / "sql"

    @property
    def kafka(self) -> Path:
        return self.home / "kafka"

    @property
    def redis(self) -> Path:
        return self.home / "redis"

    @property
    def supervisor_config(self) -> Path:
        return self.run / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        return self.run / "supervisord.pid"

    @property
    def supervisor_socket(self) -> Path:
        """The supervisor's Unix socket; in a deep checkout a short path in the temporary folder stands in for it."""
        socket = self.run / "supervisor.sock"
        if len(os.fsencode(socket)) <= _SOCKET_PATH_BYTES_MAX:
            return socket
        digest = hashlib.sha256(os.fsencode(self.home)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"freshet-{os.getuid()}-{digest}" / "s.sock"

    def starts(self, program: str) -> Path:
        """Where the launcher remembers when it has started a program, to back off from crashes."""
        return self.run / f"{program}.starts"

    def log(self, program: str) -> Path:
        return self.logs / f"{program}.log"

    def prepare(self, disk_free_mb_min: int) -> None:
        """Creates the folders; raises `PlatformError` when they cannot be written or the disk is nearly full."""
        try:
            for folder in (self.home, self.run, self.logs, self.sql, self.kafka, self.redis):
                folder.mkdir(parents=True, exist_ok=True)
            self.supervisor_socket.parent.mkdir(mode=0o700, exist_ok=True)
            for folder in (self.home, self.run, self.logs, self.sql, self.kafka, self.redis):
                with tempfile.TemporaryFile(dir=folder):
                    pass
        except OSError as error:
            raise PlatformError(
                f"The home of the platform, {self.home}, cannot be written: {error}. "
                "Make it writable or choose another folder with FRESHET_LOCAL_HOME."
            ) from error
        self._refuse_foreign_socket_folder()
        free_mb = shutil.disk_usage(self.home).free // (1024 * 1024)
        if free_mb < disk_free_mb_min:
            raise PlatformError(
                f"The disk of {self.home} has {free_mb} MiB free, expected at least {disk_free_mb_min}. "
                "Free some space, choose another FRESHET_LOCAL_HOME or lower FRESHET_LOCAL_DISK_FREE_MB_MIN."
            )

    def _refuse_foreign_socket_folder(self) -> None:
        # The stand-in lies in a folder everyone can write: who owns it could otherwise pose as our supervisor.
        folder = self.supervisor_socket.parent
        owner = folder.lstat()
        if folder != self.run and (folder.is_symlink() or owner.st_uid != os.getuid() or owner.st_mode & 0o077):
            raise PlatformError(f"{folder} does not belong to you alone. Remove it and start again.")
