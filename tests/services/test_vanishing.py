"""Clients that vanish, in whatever state: nothing of them is left in the server, and it serves the others."""

import socket
import unittest

from http_client import HttpClient, request
from support import SANITIZED, ServiceTest, eventually, reset, seeded_random

MANY = 200 if SANITIZED else 600
AT_ONCE = 50


class VanishingTest(ServiceTest):
    """Opens many connections, brings each into a random state, and ends it in a random way."""

    # Functions (choose, connection), each of which brings a connection into a state.
    states = ()

    def check(self, service, *arguments):
        choose = seeded_random()
        server = self.serve(service, *arguments)
        bystander = self.connect(server)
        self.use(bystander)
        before = server.descriptors()
        open_ones = []
        for _ in range(MANY):
            connection = self.connect(server, receive_buffer=choose.choice((None, 4096)))
            connection.settimeout(0.2)
            try:
                choose.choice(self.states)(choose, connection)
            except (TimeoutError, BlockingIOError, BrokenPipeError, ConnectionResetError):
                pass  # it is stuck, or the server ended it: also states to vanish in
            open_ones.append(connection)
            if len(open_ones) == AT_ONCE:
                self.end(choose, open_ones.pop(choose.randrange(AT_ONCE)))
        for connection in open_ones:
            self.end(choose, connection)
        eventually(lambda: server.descriptors() == before,
                   lambda: f"descriptors: {server.descriptors()}, before: {before}")
        self.use(bystander)
        self.use(self.connect(server))

    @staticmethod
    def end(choose, connection):
        way = choose.randrange(3)
        if way == 0:
            reset(connection)
            return
        if way == 1:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # the server was first
        connection.close()


def nothing(choose, connection):
    pass


def half_closed(choose, connection):
    connection.shutdown(socket.SHUT_WR)


class Echo(VanishingTest):
    def use(self, connection):
        self.assert_echoes(connection)

    @staticmethod
    def unread(choose, connection):
        connection.sendall(choose.randbytes(choose.choice((1, 1000, 100_000))))

    @staticmethod
    def partly_read(choose, connection):
        connection.sendall(choose.randbytes(50_000))
        connection.recv(choose.randrange(1, 50_000))

    @staticmethod
    def all_read(choose, connection):
        connection.sendall(b"x" * 1000)
        connection.recv(1000, socket.MSG_WAITALL)

    @staticmethod
    def half_closed_unread(choose, connection):
        connection.sendall(b"x" * 100_000)
        connection.shutdown(socket.SHUT_WR)

    @staticmethod
    def stuck(choose, connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        connection.setblocking(False)
        for _ in range(200):
            connection.send(b"x" * 65536)

    states = (nothing, half_closed, unread, partly_read, all_read, half_closed_unread, stuck)

    def test_one_worker(self):
        self.check("echo")

    def test_two_workers(self):
        self.check("echo", "--workers", "2")


class Hello(VanishingTest):
    def use(self, connection):
        self.assertEqual(HttpClient(connection).ask().text, "Hello, World")

    @staticmethod
    def idle(choose, connection):
        for _ in range(choose.randrange(1, 4)):
            HttpClient(connection).ask()

    @staticmethod
    def cut_header(choose, connection):
        text = request(fields=("Accept: */*", "User-Agent: test"))
        connection.sendall(text[:choose.randrange(1, len(text))])

    @staticmethod
    def unread(choose, connection):
        connection.sendall(request() * choose.choice((1, 10, 1000)))

    @staticmethod
    def unread_and_cut(choose, connection):
        connection.sendall(request() * 5 + b"GET /")

    @staticmethod
    def refused(choose, connection):
        connection.sendall(choose.choice((b"garbage\r\n\r\n", b"\0" * 100, b"GET /" + b"x" * 100_000,
                                          request(method="POST", fields=("Content-Length: 9999999",)) + b"x" * 50_000)))

    @staticmethod
    def closing(choose, connection):
        connection.sendall(request(fields=("Connection: close",)))

    @staticmethod
    def half_closed_unread(choose, connection):
        connection.sendall(request() * 10)
        connection.shutdown(socket.SHUT_WR)

    states = (nothing, half_closed, idle, cut_header, unread, unread_and_cut, refused, closing, half_closed_unread)

    def test_one_worker(self):
        self.check("hello")

    def test_two_workers(self):
        self.check("hello", "--workers", "2")


if __name__ == "__main__":
    unittest.main(verbosity=2)
