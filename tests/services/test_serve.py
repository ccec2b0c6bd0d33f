"""weft serve: the bundled services at their usual addresses, and lines that try them.

The addresses are fixed, so that this cannot run beside another `weft serve`; where something else has a port, the tests
are skipped.
"""

import re
import signal
import socket
import subprocess
import unittest

from support import PATIENCE, ServiceTest, required_program, run_weft

USUAL = {"echo": 7000, "hello": 8080}
ANSWERS = {"echo": "hello\n", "hello": "Hello, World"}


class Serve(ServiceTest):
    def setUp(self):
        for service, port in USUAL.items():
            try:
                socket.create_server(("127.0.0.1", port)).close()
            except OSError as error:
                self.skipTest(f"something else has {service}'s usual address, 127.0.0.1:{port}: {error}")

    def test_the_lines_that_it_prints_work(self):
        required_program("nc", "netcat-openbsd")
        required_program("curl", "curl")
        for arguments in ((), ("--workers", "2")):
            with self.subTest(arguments):
                server = self.serve("serve", *arguments, services=len(USUAL))
                lines = re.findall(r"^(\w+) +listening on (\S+) +try: (.+)$", server.stdout(), re.MULTILINE)
                self.assertEqual({name: address for name, address, _ in lines},
                                 {name: f"127.0.0.1:{port}" for name, port in USUAL.items()})
                for name, _, command in lines:
                    ended = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=PATIENCE)
                    self.assertEqual((ended.returncode, ended.stdout), (0, ANSWERS[name]), ended)
                self.assertEqual(server.stop(), 0)

    def test_it_stops_cleanly(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            server = self.serve("serve", services=len(USUAL))
            self.assertEqual(server.stop(number, 5), 0)
            self.assertEqual(server.stderr(), "")

    def test_a_usual_address_that_another_program_has(self):
        for port in USUAL.values():
            with self.subTest(port), socket.create_server(("127.0.0.1", port)):
                ended = run_weft("serve")
                self.assertEqual(ended.returncode, 1)
                self.assertEqual(ended.stderr.count("\n"), 1, ended.stderr)
                self.assertIn(f"127.0.0.1:{port}", ended.stderr)
                self.assertEqual(ended.stdout, "", "it says that it listens, and then that it cannot")


if __name__ == "__main__":
    unittest.main(verbosity=2)
