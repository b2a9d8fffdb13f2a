# Runs the program that comes first on standard input as __main__, as the interpreter itself would, and watches for
# matplotlib.pyplot. What that and a failure need comes behind the program and is compiled when it is needed.


def _boot(length, whole, marker, is_target):
    import sys

    main = sys.modules['__main__']
    del main._boot
    given = sys.stdin.buffer.read()
    if len(given) != whole:
        # sitecustomize, usercustomize and lines of *.pth files run first
        sys.exit('harbor: a start-up file of Python has read the program, which comes on standard input: it did not run')
    source, name = given[:length], '<target_code>' if is_target else '<stdin>'

    def tool(wanted):
        tools = {}
        exec(compile(given[length:], '<charts>', 'exec'), tools)
        return tools[wanted]

    class Watcher:
        @staticmethod
        def find_spec(wanted, path=None, target=None):
            if wanted == 'matplotlib.pyplot':
                sys.meta_path.remove(Watcher)
                return tool('watched')(wanted, marker)

    sys.meta_path.insert(0, Watcher)
    sys.argv[0] = '-'
    if is_target:
        main = sys.modules['__main__'] = type(sys)('__main__')
        main.__builtins__ = __builtins__
    main.__file__, main.__cached__ = name, None
    try:
        exec(compile(source, name, 'exec'), main.__dict__)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:
        tool('explain_target' if is_target else 'explain')(error, source, name)
        sys.exit(1)


