"""What the clients need: packages of Debian and PyPI, and compiled programs."""

import functools
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parents[1]
ROOT = HERE.parent.parent


class Missing(Exception):
    """Something that a client needs cannot be had; says what, and what to do."""


def require_debian(names):
    """Installs what is missing of them, together and with at most one update of the lists."""
    missing = sorted({name for name in names if not installed(name)})
    if not missing:
        return
    install = ["apt-get", "install", "--yes", "--no-install-recommends", *missing]
    if os.geteuid() != 0:
        raise Missing(f"not installed: {' '.join(missing)}. As root: {' '.join(install)}")
    # The daemons among them are started by the tests themselves, not by their installation: in
    # run level 1 invoke-rc.d starts nothing.
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    for command in (["apt-get", "update", "-qq"], [*install[:2], "-qq", *install[2:]]):
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            raise Missing(f"{' '.join(command)}: {done.stdout.decode(errors='replace')[-2000:]}")


def installed(name):
    try:
        done = subprocess.run(
            ["dpkg-query", "--show", "--showformat=${db:Status-Status}", name], capture_output=True, text=True)
    except FileNotFoundError:
        raise Missing("no dpkg-query: the clients come from Debian's packages") from None
    return done.stdout == "installed"


@functools.cache
def python():
    """The interpreter of a virtual environment with what requirements.txt names."""
    if sys.version_info < (3, 11):
        raise Missing(f"Python 3.11 or newer is needed, this is {sys.version}")
    environment = HERE / ".venv"
    requirements = HERE / "requirements.txt"
    mark = environment / "installed.txt"
    if not mark.exists() or mark.read_text() != requirements.read_text():
        if subprocess.run([sys.executable, "-m", "venv", "--clear", environment]).returncode != 0:
            raise Missing(
                "python3 cannot make a virtual environment: install its venv and pip modules "
                "(Debian: apt-get install python3-venv)")
        pip = [environment / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run([*pip, "--requirement", requirements])
        mark.write_text(requirements.read_text())
    return environment / "bin/python"


@functools.cache
def cargo_binary(name):
    """A program of tokio-xmpp/, a crate of its own, so that its dependencies burden nothing else."""
    crate = HERE / "tokio-xmpp"
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "interop"
    run(["cargo", "build", "--quiet", "--locked", "--manifest-path", crate / "Cargo.toml", "--target-dir", target])
    return target / "debug" / name


def compile_with(compiler, source, library, scratch):
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", library], capture_output=True, text=True, check=True).stdout.split()
    program = scratch / library
    run([*compiler, "-Wall", "-Wextra", "-Werror", "-o", program, HERE / "echo" / source, *flags])
    return program


def run(command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode != 0:
        command = " ".join(map(str, command))
        raise Missing(f"{command}: {(done.stdout + done.stderr)[-2000:]}")
