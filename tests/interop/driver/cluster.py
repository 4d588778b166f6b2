"""A cluster of three nodes from deploy/sample/, with only the data directories changed, and the
ports where the samples' own are taken."""

import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[3]
NODES = (1, 2, 3)
READY_SECONDS = 60
STOP_SECONDS = 30


class Node:
    """One process, started from a sample configuration."""

    def __init__(self, number, directory, renumber, binary):
        sample = (ROOT / f"deploy/sample/node{number}.toml").read_text()
        data = directory / f"node{number}"
        text = re.sub(r'(?m)^data_dir = ".*?".*$', f'data_dir = "{data}"', renumber(sample))
        self.binary = binary
        self.config = directory / f"node{number}.toml"
        self.config.write_text(text)
        self.log = directory / f"node{number}.log"
        self.component = ("127.0.0.1", int(re.search(r"(?m)^port = (\d+)$", text)[1]))
        self.http = re.search(r'(?ms)^\[http\].*?^listen = "(.*?)"$', text)[1]
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [self.binary, "serve", "--config", self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_ready(self):
        deadline = time.monotonic() + READY_SECONDS
        while True:
            if self.process.poll() is not None:
                raise SystemExit(f"{self.config} ended: {self.process.returncode}\n{self.tail()}")
            try:
                with urllib.request.urlopen(f"http://{self.http}/readyz", timeout=2):
                    return
            except (urllib.error.URLError, OSError) as error:
                if time.monotonic() > deadline:
                    raise SystemExit(f"{self.config} is not ready: {error}\n{self.tail()}")
                time.sleep(0.05)

    def stop(self, with_signal=signal.SIGTERM):
        """How it ended: its exit status, or the negative number of the signal."""
        if self.process is None:
            return None
        self.process.send_signal(with_signal)
        try:
            return self.process.wait(timeout=STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()

    def tail(self):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])


def free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return probe.connect_ex(("127.0.0.1", port)) != 0 and bindable(port)


def bindable(port, address="127.0.0.1"):
    try:
        with socket.socket() as fresh:
            fresh.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            fresh.bind((address, port))
        return True
    except OSError:
        return False


def choose_ports():
    """The samples' own ports, or the same moved up by thousands until all of them are free."""
    for offset in range(0, 24000, 1000):
        ports = [base + number + offset for base in (7370, 7380, 7390, 8880) for number in NODES]
        if all(map(free, ports)):
            return lambda text: re.sub(
                r"\b(7[3][789][123]|888[123])\b", lambda port: str(int(port[1]) + offset), text)
    raise SystemExit("no ports are free for three nodes")


@contextlib.contextmanager
def cluster(binary):
    with tempfile.TemporaryDirectory(prefix="switchyard-interop-") as directory:
        renumber = choose_ports()
        nodes = [Node(number, pathlib.Path(directory), renumber, binary) for number in NODES]
        try:
            for node in nodes:
                node.start()
            for node in nodes:
                node.wait_ready()
            yield nodes
        except BaseException:
            show_logs(nodes)
            raise
        finally:
            for node in nodes:
                node.stop()


def show_logs(nodes):
    for node in nodes:
        print(f"--- the end of {node.log.name}\n{node.tail()}", file=sys.stderr)


def built_binary():
    """SWITCHYARD_BIN, or else the one that cargo makes."""
    given = os.environ.get("SWITCHYARD_BIN")
    if given:
        return pathlib.Path(given).resolve()
    command = ["cargo", "build", "--quiet", "--locked", "--package", "switchyard", "--message-format=json"]
    output = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout
    built = (json.loads(line).get("executable") for line in output.splitlines())
    return next(path for path in built if path and path.endswith("/switchyard"))
