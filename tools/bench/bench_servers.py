"""What tools/bench/echo and tools/bench/idle share: running servers, pinned, and describing the machine; and how all of
tools/bench speaks of results.

A server is a command that prints `listening on HOST:PORT` once it accepts and stops on SIGTERM; or one that
has `{port}` in it, which is then replaced by a free port and tried until it accepts. No server outlives its
`with` block, and none outlives this process, however that ends.
"""

import ctypes
import json
import os
import platform
import re
import resource
import shlex
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent.parent
START_LIMIT = 15.0  # seconds a server may take until it accepts
STOP_LIMIT = 5.0  # seconds it may take to stop on SIGTERM before it is killed

_libc = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class BenchError(Exception):
    """What goes wrong outside of these scripts; its text is the whole message."""


def _before_exec(core):
    # Runs in the child. The death signal covers even a SIGKILL of this script, which no `finally` survives.
    def prepare():
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if core is not None:
            os.sched_setaffinity(0, {core})

    return prepare


class Server:
    """A running server as a context manager: `pid`, and `endpoint` as HOST:PORT."""

    def __init__(self, name, command, core=None):
        self.name = name
        self._command = shlex.split(command)
        self._core = core
        self._process = None
        self._output = None
        self.endpoint = None

    @property
    def pid(self):
        return self._process.pid

    def __enter__(self):
        port = None
        if any("{port}" in word for word in self._command):
            port = _free_port()
            self._command = [word.replace("{port}", str(port)) for word in self._command]
        # A file, not a pipe: nobody has to read along for the server not to block on a full one.
        self._output = tempfile.TemporaryFile()
        try:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this script alone, which then stops the server
                preexec_fn=_before_exec(self._core),
            )
        except OSError as error:
            self._output.close()
            raise BenchError(f"{self.name}: cannot start {self._command[0]}: {error.strerror}") from None
        try:
            self._wait_until_listening(port)
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_):
        self._stop()

    def check_alive(self):
        status = self._process.poll()
        if status is not None:
            how = f"killed by signal {-status}" if status < 0 else f"exit status {status}"
            raise BenchError(f"{self.name}: the server died ({how}){self._last_words()}")

    def _wait_until_listening(self, port):
        deadline = time.monotonic() + START_LIMIT
        while time.monotonic() < deadline:
            if port is None:
                found = re.search(rb"listening on (\S+:\d+)", self._read_output())
                if found:
                    self.endpoint = found.group(1).decode()
                    return
            else:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=1).close()
                    self.endpoint = f"127.0.0.1:{port}"
                    return
                except OSError:
                    pass
            self.check_alive()
            time.sleep(0.01)
        raise BenchError(f"{self.name}: not listening after {START_LIMIT:.0f} s{self._last_words()}")

    def _read_output(self):
        return os.pread(self._output.fileno(), 65536, 0)

    def _last_words(self):
        lines = self._read_output().decode(errors="replace").strip().splitlines()
        return "; it said: " + " | ".join(lines[-3:]) if lines else ""

    def _stop(self):
        previous = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not leave it running
        try:
            if self._process.poll() is None:
                self._process.terminate()
                try:
                    self._process.wait(STOP_LIMIT)
                except subprocess.TimeoutExpired:
                    warning = f"warning: {self.name} ignored SIGTERM for {STOP_LIMIT:.0f} s: killed"
                    print(warning, file=sys.stderr)
            # Its session may hold children of its own, and with its leader gone nobody else ends them.
            try:
                os.killpg(self._process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            self._process.wait()
        finally:
            self._output.close()
            signal.signal(signal.SIGINT, previous)


def run_load(options, servers, core, time_limit):
    """Runs echo_load with `options` against `servers` and returns its standard output."""
    command = list(options)
    for server in servers:
        command += ["--connect", server.endpoint, "--server-pid", str(server.pid)]
    names = ", ".join(server.name for server in servers)
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=_before_exec(core),
    )
    try:
        output, errors = process.communicate(timeout=time_limit)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{names}: the load did not end within {time_limit:.0f} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    if process.returncode != 0:
        # The kernel may report a death a moment after the sockets are closed.
        time.sleep(0.1)
        message = errors.strip() or f"the load ended with {process.returncode}"
        for server in servers:
            server.check_alive()
            message = message.replace(f"{server.endpoint}:", f"{server.name}:")
        raise BenchError(message if len(servers) > 1 else f"{names}: {message}")
    for server in servers:
        server.check_alive()
    return output


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def parse_servers(texts):
    """The `--server NAME=COMMAND` options as (name, command) pairs."""
    pairs = []
    for text in texts:
        name, separator, command = text.partition("=")
        if not separator or not name.strip() or not command.strip():
            raise BenchError(f"--server '{text}': expected NAME=COMMAND")
        pairs.append((name.strip(), command.strip()))
    return pairs


def select_servers(servers, only):
    """Of (name, command) pairs those named by `--only`, all if there is none. Names must be unique."""
    names = [name for name, _ in servers]
    for name in names:
        if names.count(name) > 1:
            raise BenchError(f"two servers are named '{name}'")
    for name in only:
        if name not in names:
            raise BenchError(f"--only '{name}': no such server; there are: " + "; ".join(names))
    return [pair for pair in servers if not only or pair[0] in only]


def require_programs(paths):
    missing = [str(path) for path in paths if not os.access(path, os.X_OK)]
    if missing:
        raise BenchError(
            "not built: " + ", ".join(missing) + "\n"
            "build with: cmake --preset release && cmake --build --preset release (or see --build-dir)"
        )


def choose_cores(server_core, load_core):
    """The cores to pin to, (None, None) where there is only one; complains about cores that there are not."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) == 1:
        print("note: only one core: server and load share it, so the figures say little about the server\n")
        return None, None
    for core in (server_core, load_core):
        if core not in allowed:
            raise BenchError(f"core {core} is not available; there are: " + ", ".join(map(str, allowed)))
    return server_core, load_core


def add_common_options(parser):
    """The options that both scripts have."""
    parser.add_argument(
        "--server", action="append", default=[], metavar="NAME=COMMAND", help="one more server; repeatable"
    )
    parser.add_argument(
        "--build-dir",
        type=Path,
        default=REPOSITORY / "build" / "release",
        metavar="DIR",
        help="where the programs were built (default build/release)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all raw results to FILE")


def write_json(path, document):
    try:
        path.write_text(json.dumps(document, indent=2) + "\n")
    except OSError as error:
        raise BenchError(f"cannot write {path}: {error.strerror}") from None


def raise_descriptor_limit():
    """Children inherit it. Returns the limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def describe_machine():
    model = "unknown CPU"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model"):
            model = value.strip()
            break
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
        "cpu": model,
        "cores": os.cpu_count(),
    }


def machine_line(machine):
    return f"{machine['kernel']} {machine['architecture']}, {machine['cpu']}, {machine['cores']} cores"


class Disturbance:
    """The shares of all processor time that went elsewhere during a `with` block.

    `stolen`: taken by the hypervisor. `others`: used by all programs but this script and those of its
    children that ended within the block.
    """

    def __enter__(self):
        self._before = self._read()
        return self

    def __exit__(self, *_):
        own, busy, stolen, everything = (b - a for a, b in zip(self._before, self._read()))
        self.stolen = stolen / everything if everything else 0.0
        self.others = max(0.0, (busy - own) / everything) if everything else 0.0

    @staticmethod
    def _read():
        usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        own = sum(usage.ru_utime + usage.ru_stime for usage in usages)
        # The guest times that follow these eight are part of user and nice already.
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
        seconds = [int(word) / os.sysconf("SC_CLK_TCK") for word in words]
        user, nice, system, idle, iowait, irq, softirq, steal = seconds
        return own, user + nice + system + irq + softirq, steal, sum(seconds)


def print_disturbance(stolen, others, advice):
    """Says so where rounds lost more of the processor time than noise, given a Disturbance's shares for each round."""
    for shares, who in ((stolen, "the hypervisor"), (others, "other programs")):
        if max(shares) > 0.03:
            print(
                f"note: {who} used {statistics.median(shares) * 100:.0f} % of the processor time (at most "
                f"{max(shares) * 100:.0f} %): {advice}"
            )


def show_progress(text):
    """Replaces the progress line; a log gets none."""
    if sys.stderr.isatty():
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)


def spread(values, form):
    """Median, least and most, each as `form` writes it."""
    return f"{form(statistics.median(values))} [{form(min(values))}..{form(max(values))}]"


def print_table(header, rows):
    """Columns as wide as their widest cell; the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in [header, *rows]) for column in range(len(header))]
    for row in [header, *rows]:
        cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        print("  ".join(cells).rstrip())


def run_main(main):
    """Runs `main()`. A BenchError is one line and exit status 1; SIGINT and SIGTERM end with 130 and 143."""

    def on_terminate(*_):
        raise SystemExit(143)

    signal.signal(signal.SIGTERM, on_terminate)
    try:
        sys.exit(main())
    except BenchError as error:
        print(f"{Path(sys.argv[0]).name}: {error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
