"""The steps of the Dockerfile, carried out without a container runtime.

Each `FROM python:...` becomes an overlay over this machine's own root, with its Python in place of
the image's; `RUN` runs in it by chroot, `COPY` copies the files that .dockerignore lets through.
What stays untried is the base image itself and what a registry does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson

ROOT = Path(__file__).parents[2]
CONTEXT = {
    "constraints.txt",
    "pyproject.toml",
    "README.md",
    "prefect.yaml",
    "src",
    "flows",
    "tasks",
    "expectations",
    "deployments",
    "sandbox",
    "docs/training.md",
}


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: word and arguments, continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(w.upper(), " ".join(rest.split())) for w, _, rest in map(_split, joined.splitlines())]


def _split(line: str) -> tuple[str, str, str]:
    return line.strip().partition(" ")


def let_through(text: str) -> set[str]:
    """Return the names that a .dockerignore of the form `*`, `!NAME` lets through."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "*", "nothing goes in unless it is named"
    return {line[1:] for line in lines[1:] if line.startswith("!")}


@dataclass(frozen=True)
class Stage:
    """A stage as built: its root, and how its commands run."""

    root: Path
    workdir: str = "/"
    user: str = "0:0"
    environment: Mapping[str, str] = field(default_factory=dict)
    labels: str = ""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    healthcheck: tuple[str, ...] = ()

    def start(self, words: tuple[str, ...], **more: str) -> subprocess.Popen[str]:
        """Start a command in the stage, as its user, in its working directory."""
        kept = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or "_proxy" in k}
        home = "/home/fundamentals" if self.user != "0:0" else "/root"
        environment = {**kept, "HOME": home, "TMPDIR": "/tmp", **self.environment, **more}
        change = f"cd {self.workdir} && exec {shlex.join((*self.entrypoint, *words))}"
        return subprocess.Popen(
            ["chroot", f"--userspec={self.user}", str(self.root), "/bin/sh", "-c", change],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, *words: str, seconds: float = 600, **more: str) -> tuple[int, str]:
        """Run a command in the stage; return its exit code and what it printed."""
        process = self.start(words, **more)
        try:
            said, _ = process.communicate(timeout=seconds)
        finally:
            process.kill()
        return process.returncode, said


class Builder:
    """Builds the stages of a Dockerfile; leaving it unmounts them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.stages, self._mounts = folder, dict[str, Stage](), ExitStack()

    def __enter__(self) -> Builder:
        return self

    def __exit__(self, *_: Any) -> None:
        self._mounts.close()

    def build(self, dockerfile: Path) -> dict[str, Stage]:
        """Carry out every instruction; return the stages by name, the last one as `default`."""
        stage, name = None, ""
        for word, rest in instructions(dockerfile.read_text()):
            if word == "ARG":
                continue
            if word == "FROM":
                base, _, name = rest.partition(" AS ")
                name = name or "default"
                stage = self.stages.get(base) or self._fresh(name)
            else:
                assert stage is not None
                stage = self._carried_out(stage, word, rest)
            self.stages[name] = stage
        return self.stages

    def _carried_out(self, stage: Stage, word: str, rest: str) -> Stage:
        if word == "RUN":
            code, said = replace(stage, user="0:0").run("/bin/sh", "-e", "-c", rest)
            assert code == 0, f"RUN {rest}\n{said[-3000:]}"
            return stage
        if word == "COPY":
            self._copy(stage, rest.split())
            return stage
        if word == "WORKDIR":
            (stage.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
            return replace(stage, workdir=rest)
        if word == "ENV":
            key, _, value = rest.partition("=")
            value = value.replace("$PATH", stage.environment["PATH"])
            return replace(stage, environment={**stage.environment, key: value})
        if word == "USER":
            return replace(stage, user=rest)
        if word == "LABEL":
            return replace(stage, labels=rest)
        if word == "HEALTHCHECK":
            return replace(stage, healthcheck=tuple(orjson.loads(rest.partition(" CMD ")[2])))
        if word == "ENTRYPOINT":
            return replace(stage, entrypoint=tuple(orjson.loads(rest)))
        if word == "CMD":
            return replace(stage, command=tuple(orjson.loads(rest)))
        assert word == "EXPOSE", f"the builder does not know {word}"
        return stage

    def _copy(self, stage: Stage, words: list[str]) -> None:
        inside = Path(stage.workdir.lstrip("/"))
        if words[0].startswith("--from="):
            source = self.stages[words[0].partition("=")[2]].root / words[1].lstrip("/")
            target = stage.root / words[2].lstrip("/")
            subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)
            return
        *names, last = words
        for name in names:
            assert name in let_through((ROOT / ".dockerignore").read_text()), name
            target = stage.root / inside / (last if last != "./" else name)
            if (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name,
                    target,
                    ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"),
                )
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target)

    def _fresh(self, name: str) -> Stage:
        """Return an overlay over this machine's root, in which this checkout is not to be seen."""
        top = self.folder / name
        for part in ("upper", "work", "root"):
            (top / part).mkdir(parents=True)
        root = top / "root"
        layers = f"lowerdir=/,upperdir={top / 'upper'},workdir={top / 'work'}"
        self._mount("-t", "overlay", "overlay", "-o", layers, str(root))
        for kernel in ("/proc", "/dev"):
            self._mount("--rbind", kernel, f"{root}{kernel}")
        self._mount("-t", "tmpfs", "tmpfs", f"{root}{ROOT}")
        shutil.rmtree(root / "app", ignore_errors=True)
        # The interpreter's folder must be open to a user who is not root, as the image's is.
        python = Path(sys.base_prefix) / "bin"
        for folder in python.parents:
            inside = root / str(folder).lstrip("/")
            inside.chmod(inside.stat().st_mode | 0o055)
        path = f"{python}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        return Stage(root, environment={"PATH": path})

    def _mount(self, *words: str) -> None:
        subprocess.run(["mount", *words], check=True, capture_output=True)
        self._mounts.callback(subprocess.run, ["umount", "-R", "-l", words[-1]], check=False)
