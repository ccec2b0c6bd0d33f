"""weft hello: what is malformed, too much or too slow is refused, so that the client can read why; then it ends."""

import socket
import ssl
import threading
import time
import unittest

from http_client import HttpClient, request
from support import Server, ServiceTest, is_silent

LINE_LIMIT = 8190
HEADER_LIMIT = 64 * 1024
FIELD_LIMIT = 128
BODY_LIMIT = 1 << 20
HEADER_TIME = 10


def request_with_line_of(length):
    """A request whose first line has `length` bytes, without its CRLF."""
    target = "/" + "x" * (length - len("GET / HTTP/1.1"))
    return request(target)


def tls_client_hello():
    outgoing = ssl.MemoryBIO()
    connection = ssl.create_default_context().wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    try:
        connection.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


class Refusals(ServiceTest):
    def setUp(self):
        self.server = self.serve("hello")

    def client(self):
        return HttpClient(self.connect(self.server))

    def assert_refused(self, sent, *statuses):
        """One answer with one of the statuses, that says so, then the end; and no answer to what may follow."""
        client = self.client()
        client.send(sent)
        answer = client.answer()
        self.assertIsNotNone(answer, "the connection ended without an answer")
        self.assertIn(answer.status, statuses)
        self.assertEqual(answer.fields.get("connection", "").lower(), "close")
        self.assertTrue(client.is_at_end())

    def assert_served(self, sent):
        client = self.client()
        client.send(sent + request("/after"))
        self.assertEqual(client.answer().status, 200)
        self.assertEqual(client.answer().text, "Hello, after")

    def test_malformed_request_lines(self):
        for line in ("GET", "GET /", "GET  / HTTP/1.1", " GET / HTTP/1.1", "G@T / HTTP/1.1",
                     "GET\t/\tHTTP/1.1", "/ HTTP/1.1", "hello"):
            with self.subTest(line):
                self.assert_refused(f"{line}\r\nHost: localhost\r\n\r\n".encode(), 400)

    def test_malformed_versions(self):
        """Malformed is not the same as not supported."""
        for line in ("GET / ", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", "GET / HTTP", "GET / HTTP/", "GET / HTTP/1",
                     "GET / HTTP/a.b", "GET / http/1.1", "GET / FTP/1.1", "GET /a b HTTP/1.1"):
            with self.subTest(line):
                self.assert_refused(f"{line}\r\nHost: localhost\r\n\r\n".encode(), 400)

    def test_malformed_fields(self):
        for field in ("no colon", ": no name", "space before : colon", "Name", "na\0me: x", "name: a\0b", "n(a)me: x",
                      "name: a\rb"):
            with self.subTest(field):
                self.assert_refused(request(fields=(field,)), 400)

    def test_garbage(self):
        for garbage in (b"\x00" * 100, b"\xff" * 100, bytes(range(256)), b"\x7fELF\x02\x01\x01" + b"\0" * 50,
                        b"SSH-2.0-OpenSSH_9.2\r\n", b"EHLO localhost\r\n"):
            with self.subTest(garbage[:10]):
                self.assert_refused(garbage, 400)

    def test_a_tls_client_hello(self):
        self.assert_refused(tls_client_hello(), 400)

    def test_one_host_exactly(self):
        self.assert_refused(request(host=None), 400)
        self.assert_refused(request(fields=("Host: localhost",)), 400)
        self.assert_refused(request(fields=("host: elsewhere",)), 400)

    def test_versions(self):
        for version in ("HTTP/2.0", "HTTP/3.0", "HTTP/0.9"):
            with self.subTest(version):
                self.assert_refused(request(version=version), 505)
        with self.subTest("HTTP/2 with prior knowledge"):
            self.assert_refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\x04\0\0\0\0\0", 505)

    def test_a_long_request_line(self):
        self.assert_served(request_with_line_of(LINE_LIMIT))
        for length in (LINE_LIMIT + 1, LINE_LIMIT + 100, 10_000, 60_000, 70_000, 200_000):
            with self.subTest(length):
                self.assert_refused(request_with_line_of(length), 414)

    def test_a_request_line_without_an_end(self):
        self.assert_refused(b"GET /" + b"x" * HEADER_LIMIT, 414)

    def test_a_large_header(self):
        line = "X: " + "x" * 5995 + "\r\n"  # 6000 bytes
        self.assert_served(request(fields=[line.rstrip()] * 10))
        for count in (11, 12, 30):
            with self.subTest(f"{count} fields of 6000 bytes"):
                self.assert_refused(request(fields=[line.rstrip()] * count), 431)

    def test_a_large_field(self):
        for size in (HEADER_LIMIT, 3 * HEADER_LIMIT):
            with self.subTest(size):
                self.assert_refused(request(fields=("X: " + "x" * size,)), 431)

    def test_many_fields(self):
        self.assert_served(request(fields=[f"X-{n}: y" for n in range(FIELD_LIMIT - 1)]))  # and Host
        self.assert_refused(request(fields=[f"X-{n}: y" for n in range(FIELD_LIMIT)]), 431)
        self.assert_refused(request(fields=[f"X-{n}: y" for n in range(2000)]), 431)

    def test_a_large_body(self):
        self.assert_refused(request(method="POST", fields=(f"Content-Length: {BODY_LIMIT + 1}",)), 413)
        self.assert_refused(request(method="POST", fields=(f"Content-Length: {1 << 62}",)), 413)
        self.assert_refused(request(method="POST", fields=(f"Content-Length: {BODY_LIMIT}",)), 405)

    def test_a_length_that_is_none(self):
        for length in ("-1", "+5", "0x5", "5 6", "5, 6", "five", "", str(1 << 64), str(10 ** 30)):
            with self.subTest(length):
                sent = request(method="POST", fields=(f"Content-Length: {length}",)) + request("/smuggled")
                self.assert_refused(sent, 400, 413)

    def test_two_lengths(self):
        sent = request(method="POST", fields=("Content-Length: 5", "Content-Length: 6")) + request("/smuggled")
        self.assert_refused(sent, 400)

    def test_length_and_chunked_together_give_no_second_answer(self):
        for fields in (("Content-Length: 5", "Transfer-Encoding: chunked"),
                       ("Transfer-Encoding: chunked", "Content-Length: 5"),
                       ("Transfer-Encoding: chunked", "Content-Length: 0")):
            with self.subTest(fields):
                sent = request(method="POST", fields=fields) + b"0\r\n\r\n" + request("/smuggled")
                self.assert_refused(sent, 400, 405)

    def test_transfer_encodings_of_unknown_length_give_no_second_answer(self):
        """RFC 9112 6.3: where chunked isn't the last coding, a request's length is unknown: 400, and close."""
        for fields in (("Transfer-Encoding: gzip",), ("Transfer-Encoding: identity",), ("Transfer-Encoding: xchunked",),
                       ("Transfer-Encoding: chunked, gzip",), ("Transfer-Encoding: chunked", "Transfer-Encoding: gzip"),
                       ("Transfer-Encoding: gzip", "Content-Length: 0")):
            with self.subTest(fields):
                sent = request(method="POST", fields=fields) + request("/smuggled")
                self.assert_refused(sent, 400, 405, 501)

    def test_chunked_bodies_give_no_second_answer(self):
        sent = request(method="POST", fields=("Transfer-Encoding: chunked",)) + b"5\r\nhello\r\n0\r\n\r\n" + request()
        self.assert_refused(sent, 405)

    def test_the_answer_arrives_though_more_was_sent_than_read(self):
        """Closing with unread input would reset the connection, and the client could lose the answer."""
        for size in (10_000, 200_000):
            for sent, status in ((request(method="POST", fields=("Content-Length: 2000000",)), 413),
                                 (request(method="POST", fields=("Content-Length: 300000",)), 405),
                                 (request(fields=("no colon",)), 400), (request(version="HTTP/2.0"), 505)):
                with self.subTest(f"{status}, and {size} bytes more"):
                    self.assert_refused(sent + b"x" * size, status)

    def test_the_answer_arrives_though_very_much_more_was_sent(self):
        """Here the server may stop reading, and the client's send may fail; the answer must be there nevertheless."""
        client = self.client()
        try:
            client.send(request(method="POST", fields=("Content-Length: 30000000",)) + b"x" * 30_000_000)
        except (BrokenPipeError, ConnectionResetError):
            pass
        self.assertEqual(client.answer().status, 413)

    def test_a_refusal_is_no_bother_to_others(self):
        other = self.client()
        self.assertEqual(other.ask().status, 200)
        for _ in range(100):
            client = self.client()
            client.send(b"garbage\r\n\r\n")
            client.connection.close()
        self.assertEqual(other.ask().status, 200)


class SlowClient(threading.Thread):
    """A client that sends half a header, then nothing, or a byte now and then; until it has an answer."""

    def __init__(self, server, drips):
        super().__init__()
        self._server = server
        self._drips = drips
        self.answer = None
        self.ended_properly = False
        self.seconds = 0.0  # until the answer came
        self.start()

    def run(self):
        with socket.create_connection(self._server.address) as connection:
            client = HttpClient(connection)
            began = time.monotonic()
            client.send(b"GET / HTTP/1.1\r\nX: y")
            while self._drips and is_silent(connection, 0.5) and time.monotonic() < began + 2 * HEADER_TIME:
                client.send(b"y")
            connection.settimeout(2 * HEADER_TIME)
            self.answer = client.answer()
            self.seconds = time.monotonic() - began
            self.ended_properly = client.is_at_end()


class SlowHeaders(ServiceTest):
    """Their time passes while the other tests run: see setUpModule."""

    def test_a_header_that_does_not_go_on(self):
        self.assert_timed_out(slow_clients["stops"])

    def test_a_header_that_goes_on_slowly(self):
        """The time is the header's, not each byte's."""
        self.assert_timed_out(slow_clients["drips"])

    def assert_timed_out(self, client):
        client.join()
        self.assertIsNotNone(client.answer, "the connection ended without an answer")
        self.assertEqual(client.answer.status, 408)
        self.assertTrue(client.ended_properly)
        self.assertGreater(client.seconds, HEADER_TIME - 1)
        self.assertLess(client.seconds, HEADER_TIME + 3)


slow_clients = {}


def setUpModule():
    server = Server("hello", "--listen", "127.0.0.1:0")
    unittest.addModuleCleanup(server.finish)
    for name in ("stops", "drips"):
        slow_clients[name] = SlowClient(server, drips=name == "drips")
        unittest.addModuleCleanup(slow_clients[name].join)


if __name__ == "__main__":
    unittest.main(verbosity=2)
