"""v1's data as one compressed file with a manifest of checksums, and back again.

The archive is a plain tar in zstd, so that `tar --zstd` reads it too. What tar cannot hold
exactly (times in nanoseconds) stands in the manifest.
"""

from __future__ import annotations

import hashlib
import io
import os
import shlex
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Annotated, Any, TypedDict, cast

import msgspec
import orjson
import pyarrow as pa

from polygon_fundamentals.cutover.checksums import checksum, own_files, printable, walk
from polygon_fundamentals.errors import DamagedFileError, LakeError
from polygon_fundamentals.lake.storage.local import flush_folder, replace_file, replacing

DATA, SCRIPTS, CRON = "data", "scripts", "cron_lines.txt"
Manifest = dict[str, Any]
Mode = Annotated[int, msgspec.Meta(ge=0, le=0o7777)]


class FileEntry(TypedDict):
    """One file in a manifest."""

    size: int
    mtime_ns: int
    mode: Mode
    sha256: str


class ManifestEntry(TypedDict):
    """What a manifest must hold to be restored from."""

    files: dict[str, FileEntry]
    links: dict[str, str]
    folders: dict[str, tuple[Mode, int]]


def manifest_of(tar: Path) -> Path:
    """Return the path of an archive's manifest."""
    return tar.with_name(tar.name.removesuffix(".tar.zst") + ".manifest.json")


def describe(folder: Path, scripts: Sequence[Path], cron: Sequence[str]) -> Manifest:
    """Return the manifest of a folder: every file with size, time, mode and SHA-256."""
    files, links = {}, {}
    for path in walk(folder):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            links[name] = os.readlink(path)
        else:
            stat = path.stat()
            files[name] = {
                "size": stat.st_size,
                "mtime_ns": stat.st_mtime_ns,
                "mode": stat.st_mode & 0o7777,
                "sha256": checksum(path),
            }
    folders = {}
    for where, _, _ in os.walk(folder):
        stat = os.stat(where)
        folders[os.path.relpath(where, folder)] = [stat.st_mode & 0o7777, stat.st_mtime_ns]
    return {
        "version": 1,
        "folder": folder.name,
        "files": files,
        "links": links,
        "folders": folders,
        "scripts": {str(path.absolute()): checksum(path) for path in scripts},
        "cron": list(cron),
    }


def write(folder: Path, manifest: Manifest, tar: Path) -> str:
    """Write the archive of a folder; return its SHA-256. It is there whole or not at all."""
    with replacing(tar) as beside:
        with (
            pa.OSFile(str(beside), "wb") as file,
            pa.CompressedOutputStream(file, "zstd") as stream,
            tarfile.open(
                fileobj=cast("IO[bytes]", stream), mode="w|", format=tarfile.PAX_FORMAT
            ) as archive,
        ):
            for name in manifest["folders"]:
                inside = DATA if name == "." else f"{DATA}/{name}"
                archive.add(folder / name, inside, recursive=False)
            for name in (*manifest["files"], *manifest["links"]):
                archive.add(folder / name, f"{DATA}/{name}", recursive=False)
            for place, script in enumerate(manifest["scripts"]):
                archive.add(script, f"{SCRIPTS}/{place:03d}-{Path(script).name}", recursive=False)
            if manifest["cron"]:
                text = ("\n".join(manifest["cron"]) + "\n").encode()
                entry = tarfile.TarInfo(CRON)
                entry.size = len(text)
                archive.addfile(entry, io.BytesIO(text))
        digest = checksum(beside)
    flush_folder(tar.parent)
    return digest


@contextmanager
def _tar_reader(tar: Path) -> Iterator[tarfile.TarFile]:
    try:
        with (
            pa.OSFile(str(tar), "rb") as file,
            pa.CompressedInputStream(file, "zstd") as stream,
            tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|") as archive,
        ):
            yield archive
    except FileNotFoundError as error:
        raise LakeError(f"{tar} is not there; put the archive back, then run again") from error
    except (tarfile.TarError, pa.ArrowException, EOFError) as error:
        raise _damaged(tar, error) from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise _damaged(tar, error) from error


def _damaged(tar: Path, error: Exception) -> DamagedFileError:
    reason = (str(error).splitlines() or ["cut off"])[0][:120]
    return DamagedFileError(f"{tar} cannot be read ({reason}); use another copy of it")


def read_back(tar: Path) -> dict[str, str]:
    """Return name → SHA-256 of every data file in the archive; of a link its target.

    Raises:
        DamagedFileError: the archive cannot be read to its end.
    """
    digests = {}
    with _tar_reader(tar) as archive:
        for member in archive:
            if not member.name.startswith(f"{DATA}/"):
                continue
            name = member.name[len(DATA) + 1 :]
            if member.issym():
                digests[name] = f"-> {member.linkname}"
            elif member.isfile():
                file = cast("io.BufferedReader", archive.extractfile(member))
                digests[name] = hashlib.file_digest(file, "sha256").hexdigest()
            elif member.islnk():
                # Two names of one file: tar keeps the bytes once, under the first.
                digests[name] = digests[member.linkname[len(DATA) + 1 :]]
    return digests


def expected(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Return what `read_back` must return."""
    return {
        **{name: entry["sha256"] for name, entry in manifest["files"].items()},
        **{name: f"-> {target}" for name, target in manifest["links"].items()},
    }


def refuse_differences(digests: Mapping[str, str], manifest: Mapping[str, Any], where: str) -> None:
    """Refuse files that differ from the manifest.

    Raises:
        DamagedFileError: files are missing, new or different; the first are named.
    """
    wanted = expected(manifest)
    differ = sorted(n for n in wanted.keys() | digests.keys() if wanted.get(n) != digests.get(n))
    if differ:
        raise DamagedFileError(
            f"{where}: {len(differ)} files differ from the manifest ({', '.join(differ[:3])}); "
            "nothing was removed. Find out what changed them, then run again"
        )


def extract(tar: Path, manifest: Mapping[str, Any], folder: Path) -> None:
    """Write the archive's data into a new folder, byte for byte, times and modes included.

    Raises:
        DamagedFileError: what was written is not what the manifest says.
    """
    folder.mkdir(parents=True)
    with _tar_reader(tar) as archive:
        for member in archive:
            if member.name.startswith(f"{DATA}/"):
                # `data` refuses members that would leave the folder.
                archive.extract(member, folder, filter="data")
    inner = folder / DATA
    inner.mkdir(exist_ok=True)
    for name in manifest["folders"]:
        (inner / name).mkdir(parents=True, exist_ok=True)
    digests = {
        str(path.relative_to(inner)): f"-> {os.readlink(path)}"
        if path.is_symlink()
        else checksum(path)
        for path in walk(inner)
    }
    refuse_differences(digests, manifest, str(folder))
    for name, entry in manifest["files"].items():
        os.chmod(inner / name, entry["mode"])
        os.utime(inner / name, ns=(entry["mtime_ns"], entry["mtime_ns"]))
    for name, (mode, changed) in sorted(manifest["folders"].items(), reverse=True):
        os.chmod(inner / name, mode)
        os.utime(inner / name, ns=(changed, changed))


def save_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest, flushed to disk."""
    replace_file(path, orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
    flush_folder(path.parent)


def load_manifest(path: Path) -> Manifest:
    """Return a manifest, all of whose names stay within the folder that it describes.

    Raises:
        LakeError: it is not there.
        DamagedFileError: it cannot be read, or a name or link in it leads out of the folder.
    """
    try:
        manifest: Manifest = orjson.loads(path.read_bytes())
        msgspec.convert(manifest, ManifestEntry)
    except FileNotFoundError as error:
        raise LakeError(f"{path} is not there; put the manifest back beside its archive") from error
    except ValueError as error:
        reason = str(error)[:120]
        raise DamagedFileError(
            f"{path} is not a readable manifest; use another copy ({reason})"
        ) from error
    names = [*manifest["files"], *manifest["links"], *manifest["folders"]]
    outside = [name for name in names if leads_out(name)]
    outside += [n for n, target in manifest["links"].items() if leads_out(target, Path(n).parent)]
    if outside:
        raise DamagedFileError(
            f"{path}: {outside[0]!r} leads out of v1's folder, so nothing is written; use another "
            "copy of the manifest"
        )
    return manifest


def leads_out(name: str, start: Path = Path()) -> bool:
    """Return whether a relative path, followed from `start`, leaves the outermost folder."""
    way = os.path.normpath(start / name)
    return os.path.isabs(name) or way == ".." or way.startswith(f"..{os.sep}")


def refuse_unarchivable(folder: Path) -> None:
    """Refuse a folder with entries that an archive cannot restore.

    Raises:
        LakeError: it is itself a link, as to another disk; or it holds a link that leads out of it,
            a pipe, a socket or a device, or a name that is not UTF-8; the first is named.
    """
    if folder.is_symlink():
        there = os.path.realpath(folder)
        move = f"{shlex.join(['rm', str(folder)])} && {shlex.join(['mv', there, str(folder)])}"
        raise LakeError(
            f"{folder} is a link to {there}, and a cleanup removes only what lies in the lake. "
            f"Move v1's files into the lake: `{move}`, then run again; or leave them there, and "
            "give --data-days more days than have passed, which retires the deployments alone. "
            "Nothing was removed"
        )
    for path in own_files(folder):
        name = str(path.relative_to(folder))
        shown = printable(str(path))
        if shown != str(path):
            reason = "has a name that is not UTF-8; rename it"
        elif path.is_symlink() and leads_out(os.readlink(path), Path(name).parent):
            reason = (
                f"is a link to {printable(os.readlink(path))}, outside of v1's folder, so its data "
                "would be missing in the archive; replace it by what it leads to, or remove it"
            )
        elif not path.is_symlink() and not path.is_file():
            reason = "is neither file nor link; remove it"
        else:
            continue
        raise LakeError(f"{shown} {reason}, then run again. Nothing was removed")
