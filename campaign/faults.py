"""What befalls a process: a signal or an error at its n-th change, another clock, host or user.

An audit hook sees every open, rename, link, removal, folder and time of Python's; `write`, `fsync`
and `syncfs` are wrapped. What Arrow writes in C++ is reached by the size limit of files and by the
kills at a moment that the driver sends.
"""

from __future__ import annotations

import datetime as dates
import errno
import os
import random
import resource
import signal
import socket
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from campaign.draw import SIGNALS
from polygon_fundamentals.lake.storage import local

_CHANGES = {
    "os.rename", "os.remove", "os.link", "os.symlink", "os.mkdir", "os.rmdir", "os.utime",
    "os.truncate",
}  # fmt: skip
GROUP = 61_000  # of all who share a lake; their own numbers are above it
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Trap:
    """Counts the changes that this process makes below a folder, and acts at the n-th of them.

    `act`: `kill`, `power` (a kill after which nothing that was not flushed is there), the name of a
    signal that asks for an end, or that of an errno, which every change from the n-th on meets
    `times` times.
    """

    def __init__(self, root: Path, act: str = "", at: int = 0, times: int = 1) -> None:
        self.root, self.act, self.at, self.times = str(root), act, at, times
        self.count = 0
        self.dirty: set[str] = set()
        self.pause = 0.0
        self.draws = random.Random(at)

    def install(self) -> None:
        """Begin to count; it lasts as long as the process."""
        write, fsync, flush = os.write, os.fsync, local.flush_to_disk

        def writing(descriptor: int, data: Any) -> int:
            if self._is_mine(_path_of(descriptor)):
                self._reached()
            return write(descriptor, data)

        def flushing(descriptor: Any) -> None:
            path = _path_of(descriptor)
            if self._is_mine(path):
                self._reached()
            fsync(descriptor)
            self.dirty.discard(path)

        def flushing_all(folder: Path) -> None:
            self._reached()
            flush(folder)
            self.dirty.clear()

        vars(os).update(write=writing, fsync=flushing)
        local.flush_to_disk = flushing_all
        sys.addaudithook(self._audit)

    def _is_mine(self, path: str) -> bool:
        return path.startswith(self.root)

    def _audit(self, event: str, words: tuple[Any, ...]) -> None:
        if event == "open":
            path, flags = words[0], words[2]
            if isinstance(path, int) or not flags & _WRITING:
                return
            name = os.path.abspath(os.fsdecode(path))
            if self._is_mine(name):
                self._reached()
                if not flags & os.O_APPEND and not name.endswith(".lock"):
                    self.dirty.add(name)
        elif event in _CHANGES:
            name = os.path.abspath(os.fsdecode(words[0]))
            if not self._is_mine(name) and event != "os.symlink":
                return
            self._reached()
            if event == "os.rename":
                target = os.path.abspath(os.fsdecode(words[1]))
                self.dirty.discard(target)
                if name in self.dirty:
                    self.dirty.discard(name)
                    self.dirty.add(target)

    def _reached(self) -> None:
        self.count += 1
        if self.pause and self.draws.random() < 0.2:
            time.sleep(self.draws.random() * self.pause)
        if not self.act or self.count < self.at:
            return
        if self.act in ("kill", "power"):
            if self.act == "power":
                self.act = ""
                for name in self.dirty:
                    if os.path.isfile(name):
                        os.truncate(name, 0)
            os.kill(os.getpid(), signal.SIGKILL)
        if self.act in SIGNALS:
            number, self.act = signal.Signals[self.act], ""
            ask_for_the_end(number)
        elif self.times:
            self.times -= 1
            number = getattr(errno, self.act)
            raise OSError(number, os.strerror(number))


asked: list[float] = []  # when this process was asked to end


def ask_for_the_end(number: int) -> None:
    """Send this process a signal; it answers as a command does."""
    asked.append(time.monotonic())
    os.kill(os.getpid(), number)


def _path_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""


def limit_file_size(size: int) -> None:
    """Let no file grow beyond a size: reaches what Arrow writes in C++, with EFBIG."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def move_to_host(name: str) -> None:
    """Let this process believe that it runs on a host of another name."""
    socket.gethostname = lambda: name


def shift_clock(seconds: float) -> None:
    """Let the product's clock in this process differ from the true time."""
    real, true_time, true_ns = dates.datetime, time.time, time.time_ns
    delta = dates.timedelta(seconds=seconds)

    class Kind(type):
        def __instancecheck__(cls, value: object) -> bool:
            return isinstance(value, real)

        def __call__(cls, *words: Any, **more: Any) -> Any:
            return real(*words, **more)

        def __getattr__(cls, name: str) -> Any:
            return getattr(real, name)

    class Shifted(metaclass=Kind):
        @staticmethod
        def now(zone: Any = None) -> Any:
            return real.now(zone) + delta

    time.time = lambda: true_time() + seconds
    time.time_ns = lambda: true_ns() + int(seconds * 1e9)
    for name, module in list(sys.modules.items()):
        ours = name.startswith(("polygon_fundamentals", "flows", "tasks"))
        if ours and getattr(module, "datetime", None) is real:
            module.datetime = Shifted  # type: ignore[attr-defined]


def other_users_can_work() -> bool:
    """Return whether a process of this one can become another user who can read Python's files."""
    if os.geteuid():
        return False
    pid = os.fork()
    if not pid:
        try:
            become(1, 0o022)
            os._exit(int(not os.access(os.__file__, os.R_OK)))
        except OSError:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0


def become(user: int, umask: int) -> None:
    """Become one of the users who share the lake's group, with a umask."""
    os.umask(umask)
    os.setgroups([])
    os.setresgid(GROUP, GROUP, GROUP)
    os.setresuid(GROUP + user, GROUP + user, GROUP + user)


def arm(root: Path, troubles: list[Mapping[str, Any]], pause: float) -> None:
    """Let the troubles of a step befall this process."""
    trap = Trap(root)
    for trouble in troubles:
        kind = trouble["kind"]
        if kind in ("kill", "power", "ENOSPC", "EIO", "EROFS"):
            trap.act, trap.at, trap.times = kind, trouble["at"], trouble.get("times", 1)
        elif kind in SIGNALS:
            trap.act, trap.at = kind if "at" in trouble else "", trouble.get("at", 0)
            if "seconds" in trouble:
                words = signal.Signals[kind]
                timer = threading.Timer(trouble["seconds"], ask_for_the_end, [words])
                timer.daemon = True
                timer.start()
        elif kind == "size":
            limit_file_size(trouble["size"])
        elif kind == "clock":
            shift_clock(trouble["seconds"])
        elif kind == "host":
            move_to_host("another-host")
        elif kind == "user":
            become(trouble["user"], trouble["umask"])
    trap.pause = pause
    if trap.act or pause:
        trap.install()
