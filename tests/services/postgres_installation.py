"""PostgreSQL's programs, fetched once and kept, and a data folder that a server starts from.

PostgreSQL refuses to run as root; then everything here runs as ``nobody``, from a folder that this
user can reach.
"""

from __future__ import annotations

import functools
import os
import platform
import pwd
import shutil
import stat
import subprocess
import tarfile
import zipfile
from pathlib import Path
from typing import TypedDict

from . import maven

UNPRIVILEGED_USER = "nobody"

_POM = Path(__file__).with_name("postgres-pom.xml")
_INITDB = ["-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync"]


class PostgresError(Exception):
    """Raised when a server does not come up, or is asked for what only a running one has."""


class Identity(TypedDict, total=False):
    """Whom a child process runs as, in the words of ``subprocess``; empty for the own user."""

    user: str
    group: int
    extra_groups: list[int]


@functools.cache
def postgres_available() -> str | None:
    """Return None when a server can run here, else one sentence: what is missing, how to get it.

    Another way is a server that runs already, named by ``SESSIONFOLD_TEST_POSTGRES_URL``.
    """
    here = f"{platform.system()} {platform.machine()}"
    if here != "Linux x86_64":
        return (
            f"PostgreSQL for tests is there for Linux x86_64, this is {here}; "
            "start one and name it in SESSIONFOLD_TEST_POSTGRES_URL."
        )
    if not _installation().is_dir() and shutil.which("mvn") is None:
        return (
            "Maven is needed to fetch PostgreSQL once, mvn is not on the PATH; install it, on "
            "Debian: apt-get install maven, or name a server in SESSIONFOLD_TEST_POSTGRES_URL."
        )
    return None


def install() -> Path:
    """Fetch and unpack PostgreSQL, unless that was done before; interrupted, it leaves no half.

    Returns:
        The folder with ``bin/postgres`` and what it needs.

    Raises:
        JavaError: with Maven's own words when it fails.
    """
    installation = _installation()
    maven.install(_POM, installation, _unpack)
    return installation


def prepare(folder: Path) -> Path:
    """Make ``folder`` the home of a new server, with its data in ``folder / "data"``.

    Args:
        folder: exists, is empty and belongs to this user; given away to the server's, if another.

    Returns:
        The folder of programs to run it with: the installation, or a copy in ``folder``.

    Raises:
        JavaError: when PostgreSQL cannot be fetched.
        PostgresError: with ``initdb``'s own words when it fails.
    """
    programs = install()
    if identity():
        shutil.chown(folder, UNPRIVILEGED_USER)
        if not _everybody_reaches(programs):
            programs = shutil.copytree(
                programs, folder / "programs", symlinks=True, copy_function=_link_or_copy
            )
    initdb = [str(programs / "bin" / "initdb"), "-D", str(folder / "data"), *_INITDB]
    ended = subprocess.run(
        initdb, cwd=folder, capture_output=True, text=True, check=False, **identity()
    )
    if ended.returncode != 0:
        raise PostgresError(f"initdb failed:\n{ended.stdout}{ended.stderr}")
    return programs


def identity() -> Identity:
    """Return whom the server has to run as: nobody special, unless this process is root."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(UNPRIVILEGED_USER)
    return {"user": UNPRIVILEGED_USER, "group": entry.pw_gid, "extra_groups": []}


def _installation() -> Path:
    return maven.installation_folder("postgres", _POM, "postgres.version")


def _unpack(folder: Path) -> None:
    """Replace the jar by what is in it: an archive in an archive."""
    (jar,) = (folder / "lib").glob("*.jar")
    with zipfile.ZipFile(jar) as outer:
        (name,) = (each for each in outer.namelist() if each.endswith(".txz"))
        with outer.open(name) as packed, tarfile.open(fileobj=packed, mode="r|xz") as inner:
            inner.extractall(folder, filter="data")
    jar.unlink()
    folder.chmod(0o755)  # mkdtemp makes it its owner's alone


def _everybody_reaches(folder: Path) -> bool:
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))


def _link_or_copy(source: str, target: str) -> None:
    """Link where that is possible: a file that cannot be reached by one name can by the other."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
