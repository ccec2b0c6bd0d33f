"""A strict little HTTP/1.1 client, which sends what it is given, and reads answers one at a time."""

import re
import socket
from dataclasses import dataclass


@dataclass(frozen=True)
class Answer:
    status: int
    fields: dict  # names in lower case
    body: bytes

    @property
    def text(self):
        return self.body.decode()


def request(target="/World", method="GET", version="HTTP/1.1", fields=(), host="localhost"):
    """A request's header. `fields`: lines, in addition to Host, which is left out if None."""
    lines = [f"{method} {target} {version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    return "\r\n".join([*lines, *fields, "", ""]).encode("latin-1")


class HttpClient:
    """Owns what came over `connection` beyond the last answer."""

    def __init__(self, connection):
        self.connection = connection
        self._left = b""
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, text):
        self.connection.sendall(text)

    def ask(self, *arguments, **options):
        """Sends a request, as request() makes it; returns the answer."""
        self.send(request(*arguments, **options))
        return self.answer(head=options.get("method") == "HEAD")

    def answer(self, head=False):
        """The next answer; None if the connection ends before its first byte."""
        while b"\r\n\r\n" not in self._left:
            if not self._more():
                if self._left:
                    raise AssertionError(f"the connection ended within a header: {self._left!r}")
                return None
        header, _, self._left = self._left.partition(b"\r\n\r\n")
        status_line, *lines = header.decode("latin-1").split("\r\n")
        matched = re.fullmatch(r"HTTP/1\.[01] (\d{3}) [ -~]*", status_line)
        if not matched:
            raise AssertionError(f"no status line: {status_line!r}")
        fields = {}
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not re.fullmatch(r"[!#-'*+.^_`|~0-9A-Za-z-]+", name):
                raise AssertionError(f"no field: {line!r}")
            if name.lower() in fields:
                raise AssertionError(f"the field {name} came twice")
            fields[name.lower()] = value.strip()
        length = 0 if head else int(fields["content-length"])
        while len(self._left) < length:
            if not self._more():
                raise AssertionError(f"the connection ended within a body: {self._left!r}")
        body, self._left = self._left[:length], self._left[length:]
        return Answer(int(matched[1]), fields, body)

    def is_at_end(self):
        """Whether nothing more comes: the end of the stream, not a reset. Waits for either."""
        return not self._left and not self._more()

    def _more(self):
        part = self.connection.recv(1 << 16)
        self._left += part
        return bool(part)
