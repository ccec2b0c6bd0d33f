"""More connections than a server wants, or can have: the rest wait, and are served later."""

import selectors
import time
import unittest

from http_client import HttpClient, request
from support import ServiceTest, eventually, is_silent, raise_descriptor_limit, receive_exactly


class MaxConnections(ServiceTest):
    def test_echo_serves_one_more_when_one_ends(self):
        server = self.serve("echo", "--max-connections", "3")
        served = [self.connect(server) for _ in range(3)]
        for connection in served:
            self.assert_echoes(connection)
        waiting = self.connect(server)
        waiting.sendall(b"waiting")
        for connection in served:
            self.assert_echoes(connection)
        self.assertTrue(is_silent(waiting), "served beyond the limit")
        served.pop().close()
        self.assertEqual(receive_exactly(waiting, 7), b"waiting")
        for connection in (*served, waiting):
            self.assert_echoes(connection)

    def test_hello_serves_one_more_when_one_ends(self):
        server = self.serve("hello", "--max-connections", "2")
        served = [HttpClient(self.connect(server)) for _ in range(2)]
        for client in served:
            self.assertEqual(client.ask().status, 200)
        waiting = HttpClient(self.connect(server))
        waiting.send(request("/waiting"))
        for client in served:
            self.assertEqual(client.ask().status, 200)
        self.assertTrue(is_silent(waiting.connection), "served beyond the limit")
        self.assertEqual(served[0].ask(fields=("Connection: close",)).status, 200)
        served[0].connection.close()
        self.assertEqual(waiting.answer().text, "Hello, waiting")

    def test_many_wait_and_all_are_served_in_turn(self):
        server = self.serve("echo", "--max-connections", "5")
        connections = [self.connect(server) for _ in range(200)]
        for number, connection in enumerate(connections):
            connection.sendall(b"%05d" % number)
        for number, connection in enumerate(connections):  # the backlog is first in, first out
            self.assertEqual(receive_exactly(connection, 5), b"%05d" % number)
            connection.close()

    def test_with_two_workers_the_limit_is_all_of_theirs(self):
        server = self.serve("echo", "--max-connections", "4", "--workers", "2")
        before = server.descriptors()
        connections = [self.connect(server) for _ in range(20)]
        for connection in connections:
            connection.sendall(b"x")
        with selectors.DefaultSelector() as selector:
            for connection in connections:
                selector.register(connection, selectors.EVENT_READ)
            answered = set()
            # Each of the two accept loops may hold one more, which waits for room.
            eventually(lambda: before + 4 <= server.descriptors() <= before + 6,
                       lambda: f"4 are served; descriptors: {server.descriptors()}, before: {before}")
            while ready := selector.select(0.3):
                for key, _ in ready:
                    self.assertEqual(key.fileobj.recv(10), b"x")
                    answered.add(key.fileobj)
            self.assertEqual(len(answered), 4)

    def test_with_two_workers_nobody_waits_while_there_is_room(self):
        """A connection may come to either worker: none may sit on room that the other needs."""
        for arguments in (("--max-connections", "1"), ("--max-connections", "2"), ("--max-connections", "3")):
            with self.subTest(arguments):
                server = self.serve("echo", "--workers", "2", "--drain", "1", *arguments)
                before = server.descriptors()
                for _ in range(20):
                    connection = self.connect(server)
                    connection.sendall(b"hello")
                    self.assertFalse(is_silent(connection, 3), "not served, though no other connection is open")
                    connection.close()
                    eventually(lambda: server.descriptors() == before, "the connection is gone")
                most = int(arguments[1])
                for _ in range(10):  # the kernel chooses the worker, anew each time
                    connections = [self.connect(server) for _ in range(most)]
                    for connection in connections:
                        connection.sendall(b"hello")
                    for connection in connections:
                        self.assertFalse(is_silent(connection, 3), "not served, though there is room")
                    for connection in connections:
                        connection.close()
                    eventually(lambda: server.descriptors() == before, "the connections are gone")


class DescriptorShortage(ServiceTest):
    """EMFILE: the operator allows more connections than there are descriptors for."""

    descriptors = 64
    many = 150

    def setUp(self):
        raise_descriptor_limit()

    def shortage(self, service, *arguments):
        """A server with as many connections as it can serve, and the rest of them."""
        self.server = self.serve(service, "--max-connections", "1000", *arguments, descriptors=self.descriptors)
        connections = [self.connect(self.server) for _ in range(self.many)]
        for connection in connections:
            connection.sendall(request("/x") if service == "hello" else b"x" * 10)
        eventually(lambda: self.server.descriptors() == self.descriptors and "cannot accept" in self.server.stderr(),
                   lambda: f"the descriptors are used up: {self.server.descriptors()}, {self.server.stderr()}")
        with selectors.DefaultSelector() as selector:
            for connection in connections:
                selector.register(connection, selectors.EVENT_READ)
            served = set()
            while len(served) < self.descriptors - 30:
                ready = selector.select(10)
                self.assertTrue(ready, "those that fit are served")
                for key, _ in ready:
                    served.add(key.fileobj)
                    selector.unregister(key.fileobj)
            while ready := selector.select(0.3):
                for key, _ in ready:
                    served.add(key.fileobj)
                    selector.unregister(key.fileobj)
        self.assertLess(len(served), self.descriptors)
        return ([each for each in connections if each in served], [each for each in connections if each not in served])

    def assert_all_get_served(self, served, waiting):
        for connection in served:
            connection.close()
        for connection in waiting:
            self.assertTrue(receive_exactly(connection, 10))
            connection.close()

    def test_echo_serves_the_rest_later(self):
        served, waiting = self.shortage("echo")
        for connection in served:
            self.assertEqual(receive_exactly(connection, 10), b"x" * 10)
            self.assert_echoes(connection)
        self.assert_all_get_served(served, waiting)
        self.assert_echoes(self.connect(self.server))

    def test_hello_serves_the_rest_later(self):
        served, waiting = self.shortage("hello")
        for connection in served:
            self.assertEqual(HttpClient(connection).answer().text, "Hello, x")
        self.assert_all_get_served(served, waiting)
        self.assertEqual(HttpClient(self.connect(self.server)).ask().status, 200)

    def test_two_workers_serve_the_rest_later(self):
        self.assert_all_get_served(*self.shortage("echo", "--workers", "2"))
        self.assert_echoes(self.connect(self.server))

    def test_it_says_so_once_and_does_not_spin(self):
        self.shortage("echo")
        cpu, since = self.server.cpu_seconds(), time.monotonic()
        time.sleep(1.5)  # what is measured is a rate
        rate = (self.server.cpu_seconds() - cpu) / (time.monotonic() - since)
        self.assertLess(rate, 0.1, "seconds of CPU time a second")
        self.assertEqual(self.server.stderr().count("cannot accept"), 1, self.server.stderr())

    def test_one_at_a_time_through_the_shortage(self):
        """Each that ends lets in one, after which the shortage goes on: no news that deserves a line each."""
        served, waiting = self.shortage("echo")
        for leaving, coming in zip(served[:15], waiting):
            leaving.close()
            self.assertEqual(receive_exactly(coming, 10), b"x" * 10)
        self.assertLessEqual(self.server.stderr().count("cannot accept"), 3, self.server.stderr())

    def test_it_stops_cleanly(self):
        served, waiting = self.shortage("echo")
        self.server.send_signal(15)
        for connection in (*served, *waiting):
            connection.close()
        self.assertEqual(self.server.wait(), 0)


if __name__ == "__main__":
    unittest.main(verbosity=2)
