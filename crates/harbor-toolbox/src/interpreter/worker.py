# The Python side of an interpreter context (see worker.rs for the channel). Python 3.6 or later, standard library only.
#
# Descriptor 0 is the channel when this starts; it moves out of the way of the code that will run. Everything lives
# inside a function, so that the user's __main__ is empty.


def work():
    import sys
    # Modules of the working directory must not stand in for the standard library's.
    path = sys.path[:]
    sys.path[:] = [entry for entry in path if entry]
    import io
    import os
    import signal
    import traceback
    sys.path[:] = path

    PIECE = 32768
    CODE_NAME = "<string>"
    SHOWN_NAME = "<stdin>"
    LONGEST_VALUE = 48 * 1024
    LONGEST_TRACEBACK = 96 * 1024

    channel = os.dup(0)  # not inherited by children
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    owner = os.getpid()
    running = [False]

    def send(kind, data):
        os.write(channel, kind + data)

    def send_long(kind, text):
        data = text.encode("utf-8", "replace")
        for begin in range(0, len(data), PIECE):
            send(kind, data[begin:begin + PIECE])

    class Stream(io.RawIOBase):
        """Standard output or standard error of the code; what is written while nothing runs is dropped."""

        def __init__(self, kind, number):
            self.kind = kind
            self.number = number

        def writable(self):
            return True

        def fileno(self):
            return self.number

        def isatty(self):
            return False

        def write(self, data):
            data = bytes(data)
            if running[0]:
                for begin in range(0, len(data), PIECE):
                    send(self.kind, data[begin:begin + PIECE])
            return len(data)

    class Unbuffered(io.BufferedIOBase):
        """What TextIOWrapper wants below it; keeps nothing."""

        def __init__(self, raw, name):
            self.raw = raw
            self.name = name
            self.mode = "wb"

        def writable(self):
            return True

        def fileno(self):
            return self.raw.fileno()

        def isatty(self):
            return False

        def write(self, data):
            return self.raw.write(data)

    def text_stream(kind, number, name):
        stream = io.TextIOWrapper(Unbuffered(Stream(kind, number), name), encoding="utf-8",
                                  errors="backslashreplace", newline="\n", line_buffering=True)
        stream._CHUNK_SIZE = 1024
        stream.mode = "w"
        return stream

    main = type(sys)("__main__")
    main.__builtins__ = __builtins__
    sys.modules["__main__"] = main
    sys.argv = [""]
    out = text_stream(b"o", 1, "<stdout>")
    err = text_stream(b"e", 2, "<stderr>")

    def on_interrupt(number, frame):
        if running[0]:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, on_interrupt)

    def text_of(value):
        try:
            return str(value)
        except BaseException:
            return "<unprintable %s object>" % type(value).__name__

    def shorten(text, longest):
        if len(text) <= longest:
            return text
        half = longest // 2
        return text[:half] + "\n... shortened ...\n" + text[-half:]

    def report(error):
        name = type(error).__name__
        value = shorten(text_of(error), LONGEST_VALUE)
        lines = []
        for frame, line in traceback.walk_tb(error.__traceback__):
            if frame.f_code.co_filename == CODE_NAME:
                lines.append('  File "%s", line %d\n' % (SHOWN_NAME, line))
        if lines:
            lines.insert(0, "Traceback (most recent call last):\n")
        lines.append("%s: %s\n" % (name, value) if value else name + "\n")
        send_long(b"n", name)
        send_long(b"v", value)
        send_long(b"t", shorten("".join(lines), LONGEST_TRACEBACK))

    def execute(code):
        """Runs the code; returns the exception that ended it, if any."""
        try:
            try:
                running[0] = True
                exec(compile(code, CODE_NAME, "exec"), main.__dict__)
            finally:
                flush()
                running[0] = False
        except SystemExit:
            running[0] = False
        except BaseException as error:
            running[0] = False
            return error
        return None

    def flush():
        for stream in (sys.stdout, sys.stderr, out, err):
            try:
                stream.flush()
            except KeyboardInterrupt:
                raise
            except BaseException:
                pass  # closed or replaced by the code

    def run(request):
        variables, code = request.split(b"\0\0", 1)
        saved = []
        for variable in variables.split(b"\0"):
            if variable:
                name, _, value = variable.partition(b"=")
                saved.append((name, os.environb.get(name)))
                os.environb[name] = value
        nonlocal out, err
        if out.closed:
            out = text_stream(b"o", 1, "<stdout>")
        if err.closed:
            err = text_stream(b"e", 2, "<stderr>")
        sys.stdout, sys.stderr = out, err
        error = execute(code.decode("utf-8", "replace"))
        if os.getpid() != owner:
            os._exit(0 if error is None else 1)  # a fork of the code that came to its end
        if error is not None:
            report(error)
        for name, value in reversed(saved):
            if value is not None:
                os.environb[name] = value
            elif name in os.environb:
                del os.environb[name]

    request = []
    while True:
        piece = os.read(channel, 2 * PIECE)
        if not piece:
            os._exit(0)
        request.append(piece[1:])
        if piece[:1] == b"r":
            whole = b"".join(request)
            request = []
            run(whole)
            del whole
            send(b"d", b"")


work()
