"""weft hello: requests that are in order, and their answers."""

import re
import socket
import threading
import unittest
from email.utils import parsedate_to_datetime

from http_client import HttpClient, request
from support import ServiceTest


class HelloTest(ServiceTest):
    def setUp(self):
        self.server = self.serve("hello")

    def client(self):
        return HttpClient(self.connect(self.server))

    def assert_hello(self, answer, name):
        self.assertIsNotNone(answer, "the connection ended instead")
        self.assertEqual((answer.status, answer.text), (200, f"Hello, {name}"))


class Requests(HelloTest):
    """What is asked for."""

    def test_a_name(self):
        self.assert_hello(self.client().ask("/World"), "World")

    def test_no_name(self):
        self.assert_hello(self.client().ask("/"), "Anonymous")

    def test_names_are_percent_decoded(self):
        client = self.client()
        for encoded, name in (("J%C3%BCrgen", "Jürgen"), ("a%2Fb", "a/b"), ("a%2fb", "a/b"), ("100%25", "100%"),
                              ("%41da%20L", "Ada L"), ("a+b", "a+b"), ("%E4%BD%A0%E5%A5%BD", "你好")):
            with self.subTest(encoded):
                self.assert_hello(client.ask(f"/{encoded}"), name)

    def test_a_name_cannot_add_fields(self):
        answer = self.client().ask("/x%0d%0aSet-Cookie:%20a=b")
        self.assert_hello(answer, "x\r\nSet-Cookie: a=b")
        self.assertNotIn("set-cookie", answer.fields)

    def test_the_query_is_no_part_of_the_name(self):
        self.assert_hello(self.client().ask("/World?name=You&path=/a/b"), "World")
        self.assert_hello(self.client().ask("/?x"), "Anonymous")

    def test_percent_encoding_that_is_none(self):
        for target in ("/%", "/%4", "/%zz", "/abc%2", "/%4g", "/%%41", "/%-41"):
            with self.subTest(target):
                self.assertEqual(self.client().ask(target).status, 400)

    def test_the_answers_fields(self):
        fields = self.client().ask().fields
        self.assertEqual(fields["content-length"], "12")
        self.assertRegex(fields["content-type"], "^text/plain")
        self.assertIsNotNone(parsedate_to_datetime(fields["date"]))
        self.assertTrue(re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", fields["date"]), fields["date"])

    def test_head_has_the_length_and_no_body(self):
        client = self.client()
        client.send(request(method="HEAD") + request())
        answer = client.answer(head=True)
        self.assertEqual((answer.status, answer.fields["content-length"]), (200, "12"))
        self.assert_hello(client.answer(), "World")  # so there was no body

    def test_deeper_paths_are_not_found(self):
        client = self.client()
        for target in ("/a/b", "/a/", "//", "//a", "/a/b?c"):
            with self.subTest(target):
                self.assertEqual(client.ask(target).status, 404)

    def test_other_methods_are_not_allowed(self):
        for method in ("POST", "DELETE", "PUT", "PATCH", "OPTIONS"):
            with self.subTest(method):
                answer = self.client().ask(method=method)
                self.assertEqual(answer.status, 405)
                self.assertEqual({each.strip() for each in answer.fields["allow"].split(",")}, {"GET", "HEAD"})

    def test_a_body_is_not_taken_for_a_request(self):
        smuggled = request("/smuggled")
        for method, status in (("POST", 405), ("GET", 200)):
            with self.subTest(method):
                client = self.client()
                client.send(request(method=method, fields=(f"Content-Length: {len(smuggled)}",)) + smuggled)
                self.assertEqual(client.answer().status, status)
                self.assertTrue(client.is_at_end())

    def test_absolute_form(self):
        client = self.client()
        for target, name in (("http://example.org/World", "World"), ("http://example.org", "Anonymous"),
                             ("http://example.org/", "Anonymous"), ("http://example.org:80/a%20b?c", "a b"),
                             ("HTTP://example.org/World", "World"), ("http://example.org?c=/d", "Anonymous")):
            with self.subTest(target):
                self.assert_hello(client.ask(target), name)

    def test_an_empty_line_before_a_request_is_passed_over(self):
        """RFC 9112 2.2; some clients send one after a body."""
        client = self.client()
        client.send(b"\r\n" + request())
        self.assert_hello(client.answer(), "World")


class Connections(HelloTest):
    """How requests share a connection."""

    def test_keep_alive(self):
        client = self.client()
        for number in range(100):
            answer = client.ask(f"/{number}")
            self.assert_hello(answer, number)
            self.assertNotEqual(answer.fields.get("connection", "").lower(), "close")

    def test_keep_alive_after_not_found_and_not_allowed(self):
        client = self.client()
        self.assertEqual(client.ask("/a/b").status, 404)
        self.assertEqual(client.ask(method="DELETE").status, 405)
        self.assert_hello(client.ask(), "World")

    def test_several_requests_in_one_segment(self):
        client = self.client()
        client.send(b"".join(request(f"/{number}") for number in range(100)))
        for number in range(100):
            self.assert_hello(client.answer(), number)

    def test_pipelining_mixed_requests(self):
        client = self.client()
        client.send(request("/a") + request("/b/c") + request(method="HEAD") + request(method="DELETE") +
                    request("/d", fields=("Connection: close",)) + request("/e"))
        self.assert_hello(client.answer(), "a")
        self.assertEqual(client.answer().status, 404)
        self.assertEqual(client.answer(head=True).status, 200)
        self.assertEqual(client.answer().status, 405)
        self.assert_hello(client.answer(), "d")
        self.assertTrue(client.is_at_end())

    def test_more_pipelined_than_the_buffers_hold(self):
        count = 20_000
        client = self.client()
        sender = threading.Thread(target=lambda: client.send(b"".join(request(f"/{n}") for n in range(count))))
        sender.start()
        for number in range(count):
            self.assert_hello(client.answer(), number)
        sender.join()

    def test_a_request_byte_by_byte(self):
        client = self.client()
        for _ in range(2):
            for byte in request("/slow", fields=("Accept: */*",)):
                client.send(bytes([byte]))
            self.assert_hello(client.answer(), "slow")

    def test_every_way_to_cut_two_requests_in_two(self):
        both = request("/a") + request("/b")
        client = self.client()
        for cut in range(1, len(both)):
            client.send(both[:cut])
            client.send(both[cut:])
            self.assert_hello(client.answer(), "a")
            self.assert_hello(client.answer(), "b")

    def test_http_1_0_closes(self):
        client = self.client()
        self.assert_hello(client.ask(version="HTTP/1.0", host=None), "World")
        self.assertTrue(client.is_at_end())

    def test_http_1_0_keeps_alive_when_asked(self):
        client = self.client()
        for _ in range(2):
            answer = client.ask(version="HTTP/1.0", fields=("Connection: keep-alive",))
            self.assert_hello(answer, "World")
            self.assertEqual(answer.fields["connection"].lower(), "keep-alive")

    def test_connection_close(self):
        for field in ("Connection: close", "connection: Close", "Connection: foo, close"):
            with self.subTest(field):
                client = self.client()
                answer = client.ask(fields=(field,))
                self.assert_hello(answer, "World")
                self.assertEqual(answer.fields["connection"].lower(), "close")
                self.assertTrue(client.is_at_end())

    def test_a_client_that_half_closes_gets_its_answers(self):
        client = self.client()
        client.send(request("/a") + request("/b"))
        client.connection.shutdown(socket.SHUT_WR)
        self.assert_hello(client.answer(), "a")
        self.assert_hello(client.answer(), "b")
        self.assertTrue(client.is_at_end())

    def test_many_connections_at_once(self):
        clients = [self.client() for _ in range(500)]
        for turn in range(3):
            for number, client in enumerate(clients):
                client.send(request(f"/{number}-{turn}"))
            for number, client in enumerate(clients):
                self.assert_hello(client.answer(), f"{number}-{turn}")


if __name__ == "__main__":
    unittest.main(verbosity=2)
