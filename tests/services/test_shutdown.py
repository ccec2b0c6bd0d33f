"""How servers end: the open connections finish first, if they do so in time."""

import signal
import socket
import threading
import time
import unittest

from http_client import HttpClient, request
from support import SANITIZED, ServiceTest, eventually, is_silent

BLOCKED = 0.5  # seconds after which a send counts as stuck
SIGNALS = (signal.SIGTERM, signal.SIGINT)
AT_ONCE = 5 if SANITIZED else 2  # seconds: much less than the 30 that connections may take


def has_been_read(server, connection):
    """Whether the server's end of a TCP connection has no unread bytes, as /proc/net/tcp has it."""
    ours, theirs = ("%08X:%04X" % (0x0100007F, name[1]) for name in (connection.getsockname(), connection.getpeername()))
    with open(f"/proc/{server.pid}/net/tcp") as file:
        for line in file:
            fields = line.split()
            if fields[1:3] == [theirs, ours]:
                return int(fields[4].split(":")[1], 16) == 0
    return False


class ShutdownTest(ServiceTest):
    def begin_stop(self, server, number=signal.SIGTERM):
        """Asks a server with open connections to stop; returns when it has begun to."""
        server.send_signal(number)
        eventually(lambda: "stopping" in server.stderr(), "the server says that it stops", 5)

    def assert_refuses(self, server):
        def refused():
            try:
                self.connect(server).close()
            except (ConnectionRefusedError, FileNotFoundError):
                return True
            return False

        eventually(refused, "new connections are refused", 2)


class Echo(ShutdownTest):
    def test_without_connections_it_ends_at_once(self):
        for number in SIGNALS:
            for workers in ("1", "2"):
                with self.subTest(f"{number.name}, {workers} workers"):
                    server = self.serve("echo", "--workers", workers)
                    self.assertEqual(server.stop(number, AT_ONCE), 0)
                    self.assertEqual(server.stderr(), "")

    def test_after_connections_it_ends_at_once(self):
        server = self.serve("echo", "--workers", "2")
        connections = [self.connect(server) for _ in range(50)]
        for connection in connections:
            self.assert_echoes(connection)
            connection.close()
        self.assertEqual(server.stop(patience=AT_ONCE), 0)

    def test_an_open_connection_is_served_to_its_end(self):
        for number in SIGNALS:
            for arguments in (("--workers", "1"), ("--workers", "2"),
                              ("--listen", f"unix:{self.temporary_directory()}/echo.sock", "--workers", "2")):
                with self.subTest(f"{number.name} {arguments}"):
                    server = self.serve("echo", *arguments)
                    connection = self.connect(server)
                    self.assert_echoes(connection)
                    self.begin_stop(server, number)
                    self.assert_refuses(server)
                    for _ in range(10):
                        self.assert_echoes(connection, b"still there?" * 1000)
                    self.assertIsNone(server.process.poll())
                    connection.shutdown(socket.SHUT_WR)
                    self.assert_ended(connection)
                    self.assertEqual(server.wait(AT_ONCE), 0)

    def test_the_drain_ends_connections_that_do_not(self):
        for workers in ("1", "2"):
            with self.subTest(f"{workers} workers"):
                server = self.serve("echo", "--drain", "0.5", "--workers", workers)
                connections = [self.connect(server) for _ in range(20)]
                for connection in connections:
                    self.assert_echoes(connection)
                began = time.monotonic()
                self.begin_stop(server)
                self.assertEqual(server.wait(5), 0)
                self.assertGreater(time.monotonic() - began, 0.4)
                for connection in connections:
                    self.assert_ended(connection)

    def test_the_drain_ends_a_connection_whose_client_does_not_read(self):
        server = self.serve("echo", "--drain", "0.5")
        connection = self.connect(server, receive_buffer=4096)
        connection.settimeout(BLOCKED)
        with self.assertRaises(TimeoutError):
            while True:
                connection.sendall(b"x" * 65536)
        self.begin_stop(server)
        self.assertEqual(server.wait(5), 0)

    def test_no_drain(self):
        server = self.serve("echo", "--drain", "0")
        connection = self.connect(server)
        self.assert_echoes(connection)
        self.assertEqual(server.stop(patience=AT_ONCE), 0)
        self.assert_ended(connection)

    def test_a_second_signal_ends_it_at_once(self):
        for first in SIGNALS:
            for second in SIGNALS:
                with self.subTest(f"{first.name}, {second.name}"):
                    server = self.serve("echo")
                    connection = self.connect(server)
                    self.assert_echoes(connection)
                    self.begin_stop(server, first)
                    self.assertEqual(server.stop(second, AT_ONCE), 128 + second)

    def test_at_the_connection_limit(self):
        """Its accept loop then waits for room, not for connections."""
        for workers in ("1", "2"):
            with self.subTest(f"{workers} workers"):
                server = self.serve("echo", "--max-connections", "2", "--workers", workers, "--drain", "0.5")
                connections = [self.connect(server) for _ in range(10)]
                for connection in connections:
                    connection.sendall(b"x")
                eventually(lambda: sum(not is_silent(each, 0) for each in connections) >= 2, "two are served", 5)
                self.assertEqual(server.stop(patience=5), 0)

    def test_at_the_connection_limit_without_connections(self):
        for workers in ("1", "2", "3"):
            with self.subTest(f"{workers} workers"):
                server = self.serve("echo", "--max-connections", "1", "--workers", workers, "--drain", "0.5")
                self.assertEqual(server.stop(patience=5), 0)


class Hello(ShutdownTest):
    def test_without_connections_it_ends_at_once(self):
        for number in SIGNALS:
            self.assertEqual(self.serve("hello").stop(number, AT_ONCE), 0)

    def test_idle_connections_are_closed_at_once(self):
        for workers in ("1", "2"):
            with self.subTest(f"{workers} workers"):
                server = self.serve("hello", "--workers", workers)
                clients = [HttpClient(self.connect(server)) for _ in range(50)]
                for client in clients:
                    self.assertEqual(client.ask().status, 200)
                before = server.descriptors()
                fresh = HttpClient(self.connect(server))  # has asked for nothing yet
                eventually(lambda: server.descriptors() > before, "the server has accepted")
                server.send_signal(signal.SIGTERM)
                for client in clients:
                    self.assertTrue(client.is_at_end())
                self.assertTrue(fresh.is_at_end())
                self.assertEqual(server.wait(AT_ONCE), 0)

    def test_a_request_that_has_begun_is_answered(self):
        server = self.serve("hello")
        client = HttpClient(self.connect(server))
        text = request("/Late")
        client.send(text[:20])
        eventually(lambda: has_been_read(server, client.connection), "the server has read it")
        self.begin_stop(server)
        self.assert_refuses(server)
        client.send(text[20:])
        answer = client.answer()
        self.assertEqual((answer.status, answer.text), (200, "Hello, Late"))
        self.assertEqual(answer.fields["connection"].lower(), "close")
        self.assertTrue(client.is_at_end())
        client.connection.close()
        self.assertEqual(server.wait(AT_ONCE), 0)

    def test_under_load_no_answer_is_cut(self):
        server = self.serve("hello", "--workers", "2")
        answers, failures = [], []
        lock = threading.Lock()

        def ask_until_the_end():
            try:
                client = HttpClient(self.connect(server))
                while answer := client.ask():  # None: the end, between two answers
                    with lock:
                        answers.append(answer)
            except (BrokenPipeError, ConnectionResetError):
                pass  # what we sent crossed the server's close: nothing of an answer came
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=ask_until_the_end) for _ in range(8)]
        for thread in threads:
            thread.start()
        eventually(lambda: len(answers) > 500, "load")
        server.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assertEqual({(answer.status, answer.body) for answer in answers}, {(200, b"Hello, World")})
        self.assertEqual(server.wait(AT_ONCE), 0)

    def test_the_drain_ends_a_header_that_does_not_go_on(self):
        server = self.serve("hello", "--drain", "0.5")
        client = HttpClient(self.connect(server))
        client.send(b"GET / HT")
        eventually(lambda: has_been_read(server, client.connection), "the server has read it")
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(5), 0)

    def test_a_second_signal_ends_it_at_once(self):
        server = self.serve("hello")
        client = HttpClient(self.connect(server))
        client.send(b"GET / HT")
        eventually(lambda: has_been_read(server, client.connection), "the server has read it")
        self.begin_stop(server)
        self.assertEqual(server.stop(signal.SIGINT, AT_ONCE), 128 + signal.SIGINT)


if __name__ == "__main__":
    unittest.main(verbosity=2)
