"""Runs the echo server of the README, given as argument, and talks to it."""

import socket
import subprocess
import sys

with subprocess.Popen([sys.argv[1]], stdout=subprocess.PIPE, text=True) as server:
    try:
        host, port = server.stdout.readline().split()[-1].rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=10) as connection:
            connection.sendall(b"hello")
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(100), b""))
    finally:
        server.kill()
sys.exit(answer != b"hello")
