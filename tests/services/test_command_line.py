"""The command line: what is wrong is said in one line on stderr, with exit code 2; what helps goes to stdout, with 0."""

import subprocess
import unittest

from support import run_weft

SERVERS = ("echo", "hello", "serve")


class Usage(unittest.TestCase):
    def assert_usage_error(self, *arguments, naming=None):
        try:
            ended = run_weft(*arguments, timeout=5)
        except subprocess.TimeoutExpired:
            self.fail("taken for right: it runs")
        self.assertEqual(ended.returncode, 2, ended)
        self.assertEqual(ended.stdout, "")
        self.assertRegex(ended.stderr, r"\Aweft: .+\n\Z")  # . is no newline
        if naming is not None:
            self.assertIn(naming, ended.stderr)

    def test_no_command(self):
        self.assert_usage_error()

    def test_an_unknown_command(self):
        self.assert_usage_error("bogus", naming="bogus")

    def test_an_unknown_option(self):
        self.assert_usage_error("--bogus", naming="--bogus")
        for command in SERVERS:
            with self.subTest(command):
                self.assert_usage_error(command, "--bogus", naming="--bogus")
                self.assert_usage_error(command, "-x", naming="-x")
                self.assert_usage_error(command, "--bogus=3", naming="--bogus")

    def test_an_argument_too_many(self):
        for command in SERVERS:
            with self.subTest(command):
                self.assert_usage_error(command, "bogus", naming="bogus")

    def test_two_commands(self):
        self.assert_usage_error("echo", "hello")

    def test_an_option_without_its_value(self):
        for option in ("--listen", "--workers", "--max-connections", "--drain"):
            with self.subTest(option):
                self.assert_usage_error("echo", option, naming=option)

    def test_an_option_of_another_command(self):
        self.assert_usage_error("serve", "--listen", "127.0.0.1:0", naming="--listen")

    def test_bad_addresses(self):
        for address in ("foo", "127.0.0.1", "7000", ":", "127.0.0.1:", "127.0.0.1:abc", "127.0.0.1:0x10", "127.0.0.1:1 ",
                        "127.0.0.1: 1", "127.0.0.1:+1", "127.0.0.1:-1", "127.0.0.1:65536", "127.0.0.1:99999999999",
                        "127.0.0.1:70000", "256.0.0.1:7000", "1.2.3:7000", "1.2.3.4.5:7000", "::1:7000", "[::1:7000",
                        "[::1]", "[::1]7000", "[]:7000", "[127.0.0.1]:7000", "example.invalid:7000", "unix:",
                        "unix:/" + "x" * 107):
            for command in ("echo", "hello"):
                with self.subTest(f"{command} {address}"):
                    self.assert_usage_error(command, "--listen", address, naming=address)

    def test_an_empty_address(self):
        self.assert_usage_error("echo", "--listen", "")

    def test_bad_numbers(self):
        for option, values in (("--workers", ("0", "-1", "257", "1.5", "abc", "", "1x", "99999999999999999999")),
                               ("--max-connections", ("0", "-1", "1.5", "abc", "100000001")),
                               ("--drain", ("-1", "-0.1", "abc", "86401", "inf", "nan", "1e99"))):
            for value in values:
                with self.subTest(f"{option} {value}"):
                    self.assert_usage_error("echo", option, value, "--listen", "127.0.0.1:0", naming=option)

    def test_an_option_twice(self):
        self.assert_usage_error("echo", "--workers", "1", "--workers", "2", naming="--workers")


class Help(unittest.TestCase):
    def assert_prints(self, *arguments):
        ended = run_weft(*arguments)
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        return ended.stdout

    def test_version(self):
        self.assertRegex(self.assert_prints("--version"), r"\Aweft \d+\.\d+\.\d+\n\Z")

    def test_of_the_program(self):
        for option in ("--help", "-h"):
            text = self.assert_prints(option)
            for expected in (*SERVERS, "--help", "--version"):
                self.assertIn(expected, text)

    def test_of_the_commands(self):
        for command in SERVERS:
            with self.subTest(command):
                text = self.assert_prints(command, "--help")
                self.assertEqual(text, self.assert_prints(command, "-h"))
                options = ("--help", "--workers", "--max-connections", "--drain")
                for expected in options if command == "serve" else (*options, "--listen"):
                    self.assertIn(expected, text)

    def test_of_the_commands_has_an_example(self):
        for command in SERVERS:
            with self.subTest(command):
                self.assertRegex(self.assert_prints(command, "--help"), rf"(?s)Example.*weft {command}")

    def test_says_what_the_defaults_are(self):
        for command, listen in (("echo", "127.0.0.1:7000"), ("hello", "127.0.0.1:8080")):
            self.assertIn(listen, self.assert_prints(command, "--help"))


if __name__ == "__main__":
    unittest.main(verbosity=2)
