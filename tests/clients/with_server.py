"""with_server.py KIND PROGRAM [ARGUMENT...]: runs a test program beside a server of that kind, and returns its status.

The program finds the server by WEFT_TEST_HOST and WEFT_TEST_PORT. The server ends with the program, and so do both with
this script, even if it is killed. What the server prints is shown if the program fails.
"""

import ctypes
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from servers import KINDS

HOST = "127.0.0.1"
PATIENCE = 30.0  # seconds for the server to be ready, and to end; nothing takes so long that goes well
TIME_LIMIT = 80.0  # seconds for the program: less than ctest's, which would leave nobody to clear up

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
libc = ctypes.CDLL(None)


def die_with_parent():
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


class Running:
    """A server that accepts connections, until stop()."""

    def __init__(self, server):
        self.server = server
        self.output = tempfile.TemporaryFile()
        end = time.monotonic() + PATIENCE
        while not self._started(end):
            # Most likely, somebody took the port that was free.
            if time.monotonic() > end:
                raise SystemExit(f"the server does not run; it said:\n{self.said()}")

    def _started(self, end):
        self.port = free_port()
        # A session of its own: the terminal's Ctrl-C is for us, who then end it.
        self.process = subprocess.Popen([str(word) for word in self.server.command(self.port)], stdin=subprocess.DEVNULL,
                                        stdout=self.output, stderr=self.output, cwd=self.server.folder,
                                        start_new_session=True, preexec_fn=die_with_parent, **self.server.identity())
        while self.process.poll() is None and time.monotonic() < end:
            if accepts(self.port) and self.server.ready(self.port):
                return True
            time.sleep(0.01)
        self.stop()
        return False

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.Signals[self.server.stop_gently])
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    def said(self):
        return os.pread(self.output.fileno(), 1 << 16, 0).decode(errors="replace")


def end_orphans():
    """Ends what the server's processes left: as their subreaper, we have become the parent."""
    children = pathlib.Path(f"/proc/self/task/{os.getpid()}/children")
    while orphans := children.read_text().split():
        for orphan in map(int, orphans):
            os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, 0)


def run_program(command, environment):
    """Its exit status, as a shell would tell it."""
    try:
        status = subprocess.run(command, env=environment, timeout=TIME_LIMIT, preexec_fn=die_with_parent).returncode
    except subprocess.TimeoutExpired:
        print(f"{command[0]} did not end within {TIME_LIMIT:g} s", file=sys.stderr)
        return 1
    return status if status >= 0 else 128 - status


def main(kind, *command):
    libc.prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    folder = tempfile.mkdtemp(prefix="weft-")
    running = None
    try:
        server = KINDS[kind](folder)
        if server.account is not None:
            os.chown(folder, server.account.pw_uid, server.account.pw_gid)
        server.prepare()
        running = Running(server)
        environment = os.environ | {"WEFT_TEST_HOST": HOST, "WEFT_TEST_PORT": str(running.port)} | server.settings
        status = run_program(command, environment)
        if status != 0:
            print(f"{kind} said:\n{running.said()}", file=sys.stderr)
        return status
    finally:
        if running is not None:
            running.stop()
        end_orphans()
        shutil.rmtree(folder)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
