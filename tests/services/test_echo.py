"""weft echo: what is sent comes back, whatever the sizes, the pace, and the number of connections."""

import random
import selectors
import socket
import threading
import time
import unittest

from support import (SANITIZED, ServiceTest, eventually, raise_descriptor_limit, receive_all, receive_exactly, reset,
                     seeded_random)

MEBIBYTE = 1 << 20


class Echo(ServiceTest):
    def setUp(self):
        self.server = self.serve("echo")

    def test_a_message_comes_back(self):
        connection = self.connect(self.server)
        for message in (b"x", b"hello\n", bytes(range(256)), b"\0" * 4096, b"a" * 4097):
            self.assert_echoes(connection, message)

    def test_messages_of_many_sizes_on_many_connections(self):
        choose = seeded_random()
        connections = [self.connect(self.server) for _ in range(50)]
        for _ in range(20):
            sent = []
            for connection in choose.sample(connections, len(connections)):
                message = choose.randbytes(choose.choice((1, 2, 100, 4095, 4096, 4097, 20_000)))
                connection.sendall(message)
                sent.append((connection, message))
            for connection, message in sent:
                self.assertEqual(receive_exactly(connection, len(message)), message)

    def test_byte_by_byte(self):
        connection = self.connect(self.server)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        message = bytes(range(256))
        for byte in message:
            connection.sendall(bytes([byte]))
        self.assertEqual(receive_exactly(connection, len(message)), message)

    def test_half_close_brings_everything_back_and_then_the_end(self):
        message = random.Random(1).randbytes(MEBIBYTE)
        connection = self.connect(self.server)

        def send():
            connection.sendall(message)
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send)
        sender.start()
        received = receive_all(connection)
        sender.join()
        self.assertTrue(received == message)

    def test_half_close_at_once_brings_the_end(self):
        connection = self.connect(self.server)
        connection.shutdown(socket.SHUT_WR)
        self.assert_ended(connection)

    def test_reset_in_the_middle_of_a_message(self):
        other = self.connect(self.server)
        self.assert_echoes(other)
        before = self.server.descriptors()
        for _ in range(100):
            connection = self.connect(self.server)
            connection.sendall(b"x" * 100_000)
            receive_exactly(connection, 1000)
            reset(connection)
        eventually(lambda: self.server.descriptors() == before,
                   lambda: f"descriptors: {self.server.descriptors()}, before: {before}")
        self.assert_echoes(other)
        self.assert_echoes(self.connect(self.server))

    def test_reset_while_the_server_waits_to_send(self):
        self.assert_echoes(self.connect(self.server))
        before = self.server.descriptors()
        connection = self.connect(self.server, receive_buffer=4096)
        self._send_until_stuck(connection)
        reset(connection)
        eventually(lambda: self.server.descriptors() == before, "the connection is closed in the server")
        self.assert_echoes(self.connect(self.server))

    def _send_until_stuck(self, connection):
        """Sends without reading until the server, which cannot get rid of its answer, takes no more."""
        connection.setblocking(False)
        sent = 0
        stuck_since = time.monotonic()
        while time.monotonic() < stuck_since + 0.3:
            try:
                sent += connection.send(b"y" * 65536)
                stuck_since = time.monotonic()
            except BlockingIOError:
                time.sleep(0.01)
            self.assertLess(sent, 64 * MEBIBYTE, "the server takes what it cannot give back")
        return sent


class MuchAtOnce(ServiceTest):
    def test_64_mebibytes_and_a_slow_reader(self):
        """What cannot be sent back is not read either: the kernel's buffers fill, and the server stays small."""
        server = self.serve("echo")
        self.assert_echoes(self.connect(server), b"z" * 100_000)  # the first connection's costs are none of ours
        message = random.Random(2).randbytes(64 * MEBIBYTE)
        connection = self.connect(server, receive_buffer=64 * 1024)
        resident = server.resident_bytes()
        sent = 0

        def send():
            nonlocal sent
            view = memoryview(message)
            while sent < len(message):
                sent += connection.send(view[sent:sent + 65536])
            connection.shutdown(socket.SHUT_WR)

        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        self._wait_until_stuck(lambda: sent)
        self.assertLess(sent, len(message) // 2, "the server takes what it cannot give back")
        most = server.resident_bytes()

        received = 0

        def receive(limit):
            nonlocal received
            part = connection.recv(limit)
            self.assertTrue(part == message[received:received + len(part)], f"other bytes at {received}")
            received += len(part)
            return len(part)

        for _ in range(100):  # slowly
            receive(1000)
            time.sleep(0.002)
            most = max(most, server.resident_bytes())
        while receive(1 << 18):  # as fast as we can
            if received % 17 == 0:
                most = max(most, server.resident_bytes())
        sender.join()
        self.assertEqual(received, len(message))
        most = max(most, server.resident_bytes())
        self.assertLess(most - resident, (64 if SANITIZED else 2) * MEBIBYTE)

    def _wait_until_stuck(self, progress):
        """Waits until progress() has not changed for a while."""
        last, since = progress(), time.monotonic()
        while last == 0 or time.monotonic() < since + 0.3:
            if progress() != last:
                last, since = progress(), time.monotonic()
            time.sleep(0.01)

    def test_10_000_connections_on_one_worker(self):
        count = 2_000 if SANITIZED else 10_000
        limit = raise_descriptor_limit()
        self.assertGreaterEqual(limit, count + 200, "too few descriptors: raise the hard limit (ulimit -Hn)")
        server = self.serve("echo", "--workers", "1")
        connections = [self.connect(server) for _ in range(count)]
        with selectors.DefaultSelector() as selector:
            for number, connection in enumerate(connections):
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ, number)
            for turn in range(2):
                expected = {}
                for number, connection in enumerate(connections):
                    message = random.Random(number * 2 + turn).randbytes(16 + number % 500)
                    self.assertEqual(connection.send(message), len(message))
                    expected[number] = message
                while expected:
                    ready = selector.select(20)
                    self.assertTrue(ready, f"{len(expected)} connections have no answer")
                    for key, _ in ready:
                        part = key.fileobj.recv(4096)
                        self.assertTrue(part, f"connection {key.data} ended")
                        message = expected.get(key.data, b"")
                        self.assertEqual(message[:len(part)], part)
                        if len(part) == len(message):
                            del expected[key.data]
                        else:
                            expected[key.data] = message[len(part):]
                self.assertGreater(server.descriptors(), count)
        for connection in connections:
            connection.close()
        eventually(lambda: server.descriptors() < 50, lambda: f"{server.descriptors()} descriptors are still open")
        self.assert_echoes(self.connect(server))


if __name__ == "__main__":
    unittest.main(verbosity=2)
