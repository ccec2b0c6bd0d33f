"""What the tests of the weft program share: a server as a process, clients on sockets, and waiting for a condition.

The program under test is the one that the environment variable WEFT names; without it, the release build's.
WEFT_SANITIZED=1 says that it is built with sanitizers: slower and larger, so that numbers are scaled down.
WEFT_TEST_SEED=N repeats what a run with random choices did; each such run prints its seed.
"""

import ctypes
import os
import pathlib
import random
import re
import resource
import selectors
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
import unittest

TREE = pathlib.Path(__file__).resolve().parents[2]
WEFT = os.environ.get("WEFT") or str(TREE / "build/release/bin/weft")
SANITIZED = bool(os.environ.get("WEFT_SANITIZED"))

# Seconds until what must happen counts as not happening; nothing takes so long that goes well.
PATIENCE = 30.0 if SANITIZED else 10.0
BRIEFLY = 0.3  # seconds to watch for what must not happen

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)

# What no server may ever print, whatever its clients do.
COMPLAINTS = re.compile(r"handler failed|Sanitizer|runtime error|terminate called|assertion", re.IGNORECASE)


def eventually(condition, what, patience=PATIENCE):
    """Polls until condition() is true, and returns what it returned; fails with `what` when patience ends."""
    end = time.monotonic() + patience
    pause = 0.001
    while not (result := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {patience:g} s: {what() if callable(what) else what}")
        time.sleep(pause)
        pause = min(pause * 2, 0.05)
    return result


def seeded_random():
    seed = int(os.environ.get("WEFT_TEST_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"WEFT_TEST_SEED={seed}", flush=True)
    return random.Random(seed)


def raise_descriptor_limit():
    """Raises this process's limit as far as it goes, and returns it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def required_program(name, package):
    """The path of a client program. A test without it would show nothing, so its absence is a failure."""
    path = shutil.which(name)
    if path is None:
        raise AssertionError(f"{name} is missing; install it: apt-get install {package}")
    return path


def run_weft(*arguments, timeout=PATIENCE, **options):
    """The program run to its end, as subprocess.CompletedProcess with text."""
    return subprocess.run([WEFT, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, **options)


class Server:
    """A server process, started by the constructor, which returns once it accepts.

    finish() ends it: it must then still be there, stop cleanly on SIGTERM, and have printed nothing alarming; unless the
    test itself saw it end, by wait() or stop(). Should the test process die, the kernel ends the server. For that, it
    must be started on a thread that outlives it.
    """

    def __init__(self, *arguments, descriptors=None, services=1):
        self._descriptors = descriptors  # its RLIMIT_NOFILE, soft and hard
        self._stdout = tempfile.TemporaryFile()
        self._stderr = tempfile.TemporaryFile()
        self._seen_to_end = False
        self.process = subprocess.Popen([WEFT, *arguments], stdin=subprocess.DEVNULL, stdout=self._stdout,
                                        stderr=self._stderr, preexec_fn=self._before_exec)
        self.pid = self.process.pid
        try:
            eventually(lambda: self.process.poll() is not None or len(self._listening()) >= services,
                       lambda: f"{arguments} listens; stderr: {self.stderr()}")
            if self.process.returncode is not None:
                raise AssertionError(f"{arguments} ended with {self.process.returncode}: {self.stderr()}")
        except BaseException:
            self.process.kill()
            self.process.wait()
            raise
        self.listening_on = self._listening()[0]

    def _before_exec(self):
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if self._descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._descriptors, self._descriptors))

    def _listening(self):
        return re.findall(r"listening on (\S+).*\n", self.stdout())

    @property
    def address(self):
        """As socket.connect takes it: (host, port), or a path."""
        if self.listening_on.startswith("unix:"):
            return self.listening_on.removeprefix("unix:")
        host, port = self.listening_on.rsplit(":", 1)
        return host.strip("[]"), int(port)

    def url(self, path="/World"):
        return f"http://{self.listening_on}{path}"

    def stdout(self):
        return self._text(self._stdout)

    def stderr(self):
        return self._text(self._stderr)

    @staticmethod
    def _text(file):
        # pread: the server shares the file's offset.
        return os.pread(file.fileno(), 1 << 20, 0).decode(errors="replace")

    def descriptors(self):
        """The number of descriptors that the process has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def resident_bytes(self):
        with open(f"/proc/{self.pid}/statm") as file:
            return int(file.read().split()[1]) * PAGE

    def cpu_seconds(self):
        return _cpu_seconds(f"/proc/{self.pid}/stat")

    def cpu_seconds_of_threads(self):
        return [_cpu_seconds(f"/proc/{self.pid}/task/{thread}/stat") for thread in os.listdir(f"/proc/{self.pid}/task")]

    def send_signal(self, number):
        self.process.send_signal(number)

    def wait(self, patience=PATIENCE):
        """Waits for the end; returns the exit code."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server did not end within {patience:g} s; stderr: {self.stderr()}") from None
        self._seen_to_end = True
        return code

    def stop(self, number=signal.SIGTERM, patience=PATIENCE):
        self.send_signal(number)
        return self.wait(patience)

    def finish(self):
        died = self.process.poll() is not None and not self._seen_to_end
        try:
            if self.process.returncode is None:
                self.stop()
        finally:
            if self.process.poll() is None:
                self.process.kill()
                self.process.wait()
            stderr = self.stderr()
            self._stdout.close()
            self._stderr.close()
        if died:
            raise AssertionError(f"the server died with {self.process.returncode}; stderr: {stderr}")
        if not self._seen_to_end or COMPLAINTS.search(stderr):
            raise AssertionError(f"the server complained: {stderr}")


def _cpu_seconds(stat_file):
    with open(stat_file) as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def reset(connection):
    """Closes so that the peer sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def receive_exactly(connection, count):
    parts = []
    while count:
        part = connection.recv(min(count, 1 << 18))
        if not part:
            raise AssertionError(f"the connection ended with {count} bytes still to come")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def receive_all(connection):
    """What comes until the end of the stream."""
    parts = []
    while part := connection.recv(1 << 18):
        parts.append(part)
    return b"".join(parts)


def is_silent(connection, seconds=BRIEFLY):
    """Whether for `seconds` neither bytes nor the end come."""
    with selectors.DefaultSelector() as selector:
        selector.register(connection, selectors.EVENT_READ)
        return not selector.select(seconds)


class ServiceTest(unittest.TestCase):
    """A test case whose servers and connections are ended with it: connections first."""

    def serve(self, *arguments, **options):
        """A server of `weft ARGUMENTS`; on a free port, unless they say where."""
        if "--listen" not in arguments and arguments[0] != "serve":
            arguments += ("--listen", "127.0.0.1:0")
        server = Server(*arguments, **options)
        self.addCleanup(server.finish)
        return server

    def connect(self, server, receive_buffer=None):
        address = server.address
        if isinstance(address, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        self.addCleanup(connection.close)
        connection.settimeout(PATIENCE)
        if receive_buffer is not None:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.connect(address)
        return connection

    def assert_echoes(self, connection, message=b"are you there?"):
        connection.sendall(message)
        self.assertEqual(receive_exactly(connection, len(message)), message)

    def assert_ended(self, connection):
        """The connection ends properly, with nothing before."""
        self.assertEqual(connection.recv(1 << 16), b"")

    def temporary_directory(self):
        directory = tempfile.TemporaryDirectory(prefix="weft-")
        self.addCleanup(directory.cleanup)
        return directory.name
