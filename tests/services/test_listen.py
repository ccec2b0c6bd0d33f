"""Where servers listen: TCP, unix sockets, several workers; and what is said when they can't."""

import os
import signal
import socket
import threading
import unittest

from http_client import HttpClient
from support import ServiceTest, eventually, receive_exactly, run_weft


class ListenTest(ServiceTest):
    def assert_cannot_listen(self, where, *arguments):
        """It ends with 1, and one line that names the address."""
        ended = run_weft(*arguments, "--listen", where)
        self.assertEqual(ended.returncode, 1, ended.stderr)
        self.assertEqual(ended.stdout, "")
        self.assertEqual(ended.stderr.count("\n"), 1, ended.stderr)
        self.assertIn(where, ended.stderr)


class Tcp(ListenTest):
    def test_port_0_is_any_free_port(self):
        one, two = self.serve("echo", "--listen", "127.0.0.1:0"), self.serve("echo", "--listen", "127.0.0.1:0")
        self.assertEqual(one.stdout(), f"listening on {one.listening_on}\n")
        self.assertNotEqual(one.address, two.address)
        for server in (one, two):
            self.assertNotEqual(server.address[1], 0)
            self.assert_echoes(self.connect(server))

    def test_localhost(self):
        server = self.serve("echo", "--listen", "localhost:0")
        self.assertEqual(server.address[0], "127.0.0.1")
        self.assert_echoes(self.connect(server))

    def test_ipv6(self):
        try:
            socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        except OSError as error:
            self.skipTest(f"no IPv6 on this machine: {error}")
        for workers in ("1", "2"):
            server = self.serve("echo", "--listen", "[::1]:0", "--workers", workers)
            self.assertRegex(server.listening_on, r"^\[::1\]:\d+$")
            self.assert_echoes(self.connect(server))

    def test_a_port_that_another_server_has(self):
        for first in ("1", "2"):
            server = self.serve("echo", "--workers", first)
            for second in ("1", "2"):
                for service in ("echo", "hello"):
                    with self.subTest(f"{first} workers, then {service} with {second}"):
                        self.assert_cannot_listen(server.listening_on, service, "--workers", second)
            self.assert_echoes(self.connect(server))

    def test_a_port_can_be_had_again_at_once(self):
        """Though connections that the server closed are in TIME_WAIT."""
        for workers in ("1", "2"):
            server = self.serve("hello", "--workers", workers)
            for _ in range(10):
                client = HttpClient(self.connect(server))
                self.assertEqual(client.ask(fields=("Connection: close",)).status, 200)
                self.assertTrue(client.is_at_end())
                client.connection.close()
            self.assertEqual(server.stop(), 0)
            again = self.serve("hello", "--workers", workers, "--listen", server.listening_on)
            self.assertEqual(HttpClient(self.connect(again)).ask().status, 200)

    def test_an_address_that_is_not_ours(self):
        self.assert_cannot_listen("192.0.2.1:7000", "echo")
        self.assert_cannot_listen("192.0.2.1:7000", "echo", "--workers", "2")


class Workers(ListenTest):
    def test_both_of_two_threads_serve(self):
        server = self.serve("echo", "--workers", "2")
        connections = [self.connect(server) for _ in range(64)]

        def both_worked():
            for connection in connections:
                connection.sendall(b"z" * 1000)
            for connection in connections:
                self.assertEqual(receive_exactly(connection, 1000), b"z" * 1000)
            return sum(seconds >= 0.03 for seconds in server.cpu_seconds_of_threads()) >= 2

        eventually(both_worked, lambda: f"two threads work: {server.cpu_seconds_of_threads()}")

    def test_many_connections_at_once(self):
        server = self.serve("hello", "--workers", "2")
        clients = [HttpClient(self.connect(server)) for _ in range(1000)]
        for _ in range(2):
            for number, client in enumerate(clients):
                self.assertEqual(client.ask(f"/{number}").text, f"Hello, {number}")

    def test_connections_that_come_and_go_on_several_threads(self):
        server = self.serve("echo", "--workers", "2")
        failures = []

        def come_and_go():
            try:
                for number in range(200):
                    with socket.create_connection(server.address, 20) as connection:
                        message = b"%d" % number * 100
                        connection.sendall(message)
                        assert receive_exactly(connection, len(message)) == message
            except Exception as error:
                failures.append(error)

        threads = [threading.Thread(target=come_and_go) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])


class Unix(ListenTest):
    def setUp(self):
        self.path = os.path.join(self.temporary_directory(), "weft.sock")
        self.where = f"unix:{self.path}"

    def test_echo_and_hello(self):
        for workers in ("1", "2"):
            with self.subTest(f"{workers} workers"):
                echo = self.serve("echo", "--listen", self.where, "--workers", workers)
                self.assertEqual(echo.listening_on, self.where)
                for connection in [self.connect(echo) for _ in range(100)]:
                    self.assert_echoes(connection, b"m" * 50_000)
                    connection.close()
                self.assertEqual(echo.stop(), 0)
                hello = self.serve("hello", "--listen", self.where, "--workers", workers)
                for _ in range(10):
                    self.assertEqual(HttpClient(self.connect(hello)).ask().text, "Hello, World")
                self.assertEqual(hello.stop(), 0)

    def test_two_workers_that_share_a_listener_do_not_block_in_it(self):
        """Both see a connection coming, one gets it: the other must go on serving, and stop when told to."""
        server = self.serve("echo", "--listen", self.where, "--workers", "2")
        connections = []
        for number in range(300):
            connections.append(self.connect(server))
            for connection in connections[-10:]:
                self.assert_echoes(connection, b"%d" % number)
        for connection in connections:
            connection.close()
        self.assertEqual(server.stop(), 0)

    def test_the_path_is_gone_after_the_stop(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.serve("echo", "--listen", self.where)
            self.assertTrue(os.path.exists(self.path))
            self.assertEqual(server.stop(number), 0)
            self.assertFalse(os.path.lexists(self.path))

    def test_a_path_that_a_dead_server_left_is_taken_over(self):
        dead = self.serve("echo", "--listen", self.where)
        self.assertEqual(dead.stop(signal.SIGKILL), -signal.SIGKILL)
        self.assertTrue(os.path.exists(self.path))
        self.assert_echoes(self.connect(self.serve("echo", "--listen", self.where)))

    def test_a_path_that_another_server_has(self):
        server = self.serve("echo", "--listen", self.where)
        for workers in ("1", "2"):
            self.assert_cannot_listen(self.where, "hello", "--workers", workers)
        self.assert_echoes(self.connect(server))

    def test_a_file_that_is_no_socket_is_left_alone(self):
        with open(self.path, "w") as file:
            file.write("precious")
        self.assert_cannot_listen(self.where, "echo")
        with open(self.path) as file:
            self.assertEqual(file.read(), "precious")

    def test_a_directory_that_is_not_there(self):
        self.assert_cannot_listen(self.where.replace("weft.sock", "nowhere/weft.sock"), "echo")

    def test_a_path_that_now_is_another_servers_is_left_alone(self):
        first = self.serve("echo", "--listen", self.where)
        os.unlink(self.path)
        second = self.serve("echo", "--listen", self.where)
        self.assertEqual(first.stop(), 0)
        self.assert_echoes(self.connect(second))

    def test_the_longest_path(self):
        path = os.path.join(os.path.dirname(self.path), "")
        path += "x" * (107 - len(path))
        self.assert_echoes(self.connect(self.serve("echo", "--listen", f"unix:{path}")))


if __name__ == "__main__":
    unittest.main(verbosity=2)
