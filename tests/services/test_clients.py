"""The programs that people use: nc, curl, wrk, ab. Each is required: without them these tests would show nothing."""

import json
import os
import random
import re
import subprocess
import unittest

from support import PATIENCE, ServiceTest, required_program

WRK_SCRIPT = """
-- Counts the answers that are not what we ask for; wrk itself looks at the status only.
local threads = {}
function setup(thread) table.insert(threads, thread) end
function init() wrong = 0; right = 0 end
function response(status, headers, body)
    if status == 200 and body == "Hello, World" then right = right + 1 else wrong = wrong + 1 end
end
function done()
    local all_right, all_wrong = 0, 0
    for _, thread in ipairs(threads) do
        all_right = all_right + thread:get("right")
        all_wrong = all_wrong + thread:get("wrong")
    end
    print("right: " .. all_right .. " wrong: " .. all_wrong)
end
"""


def run(program, package, *arguments, send=b""):
    return subprocess.run([required_program(program, package), *arguments], input=send, capture_output=True,
                          timeout=PATIENCE)


def nc(*arguments, **options):
    return run("nc", "netcat-openbsd", *arguments, **options)


def curl(*arguments, **options):
    return run("curl", "curl", "--silent", "--show-error", "--noproxy", "*", *arguments, **options)


class ClientTest(ServiceTest):
    def assert_succeeded(self, ended):
        self.assertEqual((ended.returncode, ended.stderr), (0, b""))
        return ended.stdout


class Nc(ClientTest):
    def test_echo(self):
        server = self.serve("echo")
        for message in (b"hello\n", b"", random.Random(3).randbytes(1 << 20)):
            received = self.assert_succeeded(nc("-N", *map(str, server.address), send=message))
            self.assertTrue(received == message)

    def test_echo_on_a_unix_socket(self):
        server = self.serve("echo", "--listen", f"unix:{self.temporary_directory()}/echo.sock")
        for message in (b"hello\n", random.Random(4).randbytes(1 << 20)):
            received = self.assert_succeeded(nc("-N", "-U", server.address, send=message))
            self.assertTrue(received == message)

    def test_hello_typed_by_hand(self):
        server = self.serve("hello")
        typed = b"GET /World HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        received = self.assert_succeeded(nc(*map(str, server.address), send=typed))
        self.assertTrue(received.startswith(b"HTTP/1.1 200 OK\r\n"), received)
        self.assertTrue(received.endswith(b"\r\n\r\nHello, World"), received)


class Curl(ClientTest):
    def setUp(self):
        self.server = self.serve("hello")

    def test_get(self):
        self.assertEqual(self.assert_succeeded(curl(self.server.url())), b"Hello, World")
        self.assertEqual(self.assert_succeeded(curl(self.server.url("/"))), b"Hello, Anonymous")
        self.assertEqual(self.assert_succeeded(curl(self.server.url("/J%C3%BCrgen"))), "Hello, Jürgen".encode())

    def test_head(self):
        lines = self.assert_succeeded(curl("--head", self.server.url())).decode().lower().split("\r\n")
        self.assertEqual(lines[0], "http/1.1 200 ok")
        self.assertIn("content-length: 12", lines)
        self.assertEqual(lines[-2:], ["", ""])

    def test_keep_alive_with_two_urls(self):
        output = self.assert_succeeded(curl("--write-out", r"\n%{num_connects}\n", self.server.url("/a"),
                                            self.server.url("/b")))
        self.assertEqual(output, b"Hello, a\n1\nHello, b\n0\n")

    def test_http_1_0(self):
        output = self.assert_succeeded(curl("--http1.0", "--write-out", r"\n%{num_connects}\n", self.server.url("/a"),
                                            self.server.url("/b")))
        self.assertEqual(output, b"Hello, a\n1\nHello, b\n1\n")

    def test_errors(self):
        for arguments, status in ((("/a/b",), 404), (("/World", "--request", "DELETE"), 405),
                                  (("/World", "--data", "x=y"), 405), (("/%zz",), 400),
                                  (("/" + "x" * 9000,), 414), (("/World", "--header", "X: " + "x" * 70_000), 431)):
            with self.subTest(f"{arguments[0][:20]} {arguments[1:2]}"):
                output = self.assert_succeeded(curl("--write-out", r"\n%{http_code}", "--globoff",
                                                    self.server.url(arguments[0]), *arguments[1:]))
                self.assertEqual(output.rpartition(b"\n")[2], b"%d" % status)

    def test_uploads_are_refused_readably(self):
        for size, status in ((1000, 405), (500_000, 405), (3_000_000, 413)):
            for expect in ("Expect:", "Expect: 100-continue"):
                with self.subTest(f"{size} bytes, {expect}"):
                    ended = curl("--write-out", r"\n%{http_code}", "--header", expect, "--data-binary", "@-",
                                 self.server.url(), send=b"u" * size)
                    self.assertEqual(ended.stdout.rpartition(b"\n")[2], b"%d" % status, ended)

    def test_a_unix_socket(self):
        server = self.serve("hello", "--listen", f"unix:{self.temporary_directory()}/hello.sock")
        output = self.assert_succeeded(curl("--unix-socket", server.address, "http://localhost/World"))
        self.assertEqual(output, b"Hello, World")

    def test_timing_is_not_delayed(self):
        """Many requests one after the other on one connection: no 40 ms of delayed acknowledgements each."""
        output = self.assert_succeeded(curl("--write-out", r" %{json}\n", self.server.url("/[1-100]")))
        lines = output.decode().splitlines()
        self.assertEqual(len(lines), 100)
        for number, line in enumerate(lines, 1):
            answer, _, report = line.partition(" {")
            self.assertEqual(answer, f"Hello, {number}")
        times = sorted(json.loads("{" + line.partition(" {")[2])["time_total"] for line in lines)
        self.assertLess(times[50], 0.02)


class Wrk(ClientTest):
    def test_answers(self):
        script = os.path.join(self.temporary_directory(), "check.lua")
        with open(script, "w") as file:
            file.write(WRK_SCRIPT)
        for workers, connections in (("1", "100"), ("2", "50")):
            with self.subTest(f"{workers} workers"):
                server = self.serve("hello", "--workers", workers)
                output = self.assert_succeeded(run("wrk", "wrk", "--threads", "2", "--connections", connections,
                                                   "--duration", "1s", "--script", script, server.url())).decode()
                self.assertNotIn("Non-2xx", output)
                self.assertNotIn("Socket errors", output)
                right, wrong = map(int, re.search(r"right: (\d+) wrong: (\d+)", output).groups())
                self.assertEqual(wrong, 0, output)
                self.assertGreater(right, 1000, output)
                self.assertGreater(int(re.search(r"(\d+) requests in", output)[1]), 1000)


class Ab(ClientTest):
    def test_answers(self):
        server = self.serve("hello")
        for arguments in ((), ("-k",), ("-i",), ("-k", "-c", "50")):
            with self.subTest(arguments):
                ended = run("ab", "apache2-utils", "-q", "-n", "2000", "-c", "10", *arguments, server.url())
                output = ended.stdout.decode()
                self.assertEqual(ended.returncode, 0, ended)
                self.assertRegex(output, r"Complete requests: +2000\n")
                self.assertRegex(output, r"Failed requests: +0\n")
                self.assertNotIn("Non-2xx", output)
                if "-i" not in arguments:  # with HEAD there is no document
                    self.assertRegex(output, r"Document Length: +12 bytes")
                if "-k" in arguments:
                    self.assertRegex(output, r"Keep-Alive requests: +2000\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
