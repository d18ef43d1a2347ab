# What functions print: sys.stdout and sys.stderr, whose lines become LOG frames.


class Lines(io.TextIOBase):
    """sys.stdout or sys.stderr. In an interpreter whole lines become LOG frames; elsewhere everything goes to the descriptor.

    The parts of a line wait in a deque, whose operations are atomic: threads and signal handlers print whenever they like.
    """

    encoding, errors, mode, line_buffering, write_through = "utf-8", "backslashreplace", "w", True, False

    def __init__(self, descriptor, name):
        self.descriptor, self.name = descriptor, name
        self.parts, self.size = collections.deque(), 0
        self.buffer = Bytes()
        self.buffer.lines = self

    def write(self, text):
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if interpreter is None:
            write_all(self.descriptor, text.encode("utf-8", "backslashreplace"))
        elif text:
            self.parts.append(text)
            self.size += len(text)
            if "\n" in text or self.size > LINE:
                self.emit()
        return len(text)

    def emit(self, everything=False):
        """Sends the lines that are complete, of one that is too long all but its end, or at the end of a task everything."""
        taken = []
        try:
            while True:
                taken.append(self.parts.popleft())
        except IndexError:
            pass
        text, newline, rest = "".join(taken).rpartition("\n")
        cut = len(rest) if everything else (len(rest) - 1) // LINE * LINE
        if cut > 0:
            text, newline, rest = text + newline + rest[:cut], "\n", rest[cut:]
        if rest:
            self.parts.appendleft(rest)
        self.size = len(rest)
        if newline:
            interpreter.log(text, self.descriptor)

    def fileno(self):
        return self.descriptor

    def writable(self):
        return True

    def close(self):
        pass

    def reconfigure(self, **_):
        pass


class Bytes(io.RawIOBase):
    """The `buffer` of such a stream."""

    def write(self, data):
        self.lines.write(bytes(data).decode("utf-8", "backslashreplace"))
        return len(data)

    fileno = property(lambda self: self.lines.fileno)
    writable, close = Lines.writable, Lines.close


OUT, ERR = Lines(1, "<stdout>"), Lines(2, "<stderr>")


def write_all(descriptor, data):
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except OSError:
        pass  # Nobody reads it any more, or the function has closed it.


def log_frames(text):
    """Lines of bounded length, with newlines between them, as many as go into one frame."""
    payload = None
    for line in text.encode("utf-8", "backslashreplace").replace(b"\0", b"?").split(b"\n"):
        while line is not None:
            end = min(len(line), LINE)
            while end < len(line) and line[end] & 0xC0 == 0x80:  # Not within a character.
                end -= 1
            piece, line = line[:end], line[end:] or None
            if payload is not None and len(payload) + len(piece) >= LOG_FRAME:
                yield payload
                payload = None
            payload = piece if payload is None else payload + b"\n" + piece
    yield payload
