# The fork server: loads the project, and forks interpreters.

NOTICED = dict.fromkeys(["subprocess.Popen", "os.posix_spawn", "os.system", "os.spawn", "pty.spawn"], SPAWNED)
NOTICED.update({"os.fork": CHILDREN, "os.forkpty": CHILDREN, "os.chdir": MOVED})


def audit(event, _):
    if event in NOTICED:
        global noticed
        noticed |= NOTICED[event]


def after_fork():
    """In what a function has forked: it is no interpreter, and the sockets are not its own."""
    global interpreter
    if interpreter is not None:
        interpreter.tasks.close()
        interpreter.control.close()
        interpreter = None
        OUT.parts.clear()
        ERR.parts.clear()


def high(descriptor):
    """A copy of it, out of the way of those who count descriptors from 0."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 100 if soft > 200 else 10)


def become_interpreter(settings, server, descriptors):
    global interpreter
    try:
        os.setsid()
        os.dup2(descriptors[2], 1)
        os.dup2(descriptors[3], 2)
        tasks, control = [socket.socket(fileno=high(descriptor)) for descriptor in descriptors[:2]]
        for descriptor in descriptors:
            os.close(descriptor)
        server.close()
        os.environ["HARK_INTERPRETER"] = str(os.getpid())
        if "numpy.random" in sys.modules:
            sys.modules["numpy.random"].seed()  # Python's own generator does this by itself.
        new = Interpreter(settings, tasks, control)
        if "django.db" in sys.modules:
            new.django = Django.loaded()
        new.limit_memory()
        interpreter = new
        new.serve()
    except BaseException:
        write_all(2, traceback.format_exc().encode("utf-8", "backslashreplace"))
    finally:
        os._exit(1)


def prepare(settings):
    """Makes this process look like a program of the project's, and loads the project. Returns the version of Django."""
    with open("/proc/self/comm", "w") as file:
        file.write("hark-python")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    pthread_sigmask(signal.SIG_SETMASK, ())
    sys.argv = ["hark"]
    if sys.path[:1] == [""]:
        del sys.path[0]
    settings["directory"] = settings["directory"] or os.getcwd()
    sys.path.insert(0, settings["directory"])
    sys.modules["__main__"] = ModuleType("__main__")
    sys.modules["_hark"] = module = ModuleType("_hark", "The worker that runs this code.")
    module.current, module.TaskStopped = current, TaskStopped
    sys.stdout = sys.__stdout__ = OUT
    sys.stderr = sys.__stderr__ = ERR
    os.register_at_fork(after_in_child=after_fork)
    sys.addaudithook(audit)
    faulthandler.enable(file=2, all_threads=False)
    if settings["django_settings"]:
        os.environ["DJANGO_SETTINGS_MODULE"] = settings["django_settings"]
        import django

        django.setup()
    for name in settings["preload"]:
        __import__(name)
    import asyncio  # For all interpreters at once.

    if "django.db" in sys.modules:
        django = Django.loaded()
        if django:
            django.leave_to_children()
    threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    if threads:
        print("loading the project has started threads, which no interpreter will have:", ", ".join(threads), file=ERR)
    if settings["memory_limit"] and pages(1) > settings["memory_limit"]:
        print(f"the project alone takes {pages(1) >> 20} MiB, more than memory_limit: an interpreter is replaced after each task", file=ERR)
    gc.collect()
    gc.freeze()
    return getattr(sys.modules.get("django"), "__version__", None)


def serve_forks(first):
    server = socket.socket(fileno=high(first.detach()))
    null = os.open("/dev/null", os.O_RDWR | os.O_NONBLOCK)
    os.dup2(null, 0)
    os.close(null)

    def say(**message):
        try:
            server.send(json.dumps(message, ensure_ascii=False).encode())
        except OSError:
            os._exit(0)

    settings = json.loads(server.recv(1 << 20) or os._exit(0))
    python = sys.version.split()[0]
    if sys.version_info < (3, 10):
        say(failed={"message": f"this is Python {python}, and 3.10 or later is needed", "detail": ""})
        os._exit(1)
    try:
        version = prepare(settings)
    except BaseException as error:
        say(failed={"message": storable(message_of(error)).decode(), "detail": detail_of(error).decode()})
        os._exit(1)
    say(ready={"python": python, "django": version})
    while True:
        try:
            data, descriptors, _, _ = socket.recv_fds(server, 65536, 4, socket.MSG_CMSG_CLOEXEC)
        except ConnectionError:
            data = b""
        if not data:
            os._exit(0)
        request = json.loads(data)
        if "fork" in request:
            try:
                pid = os.fork()
                if pid == 0:
                    become_interpreter(settings, server, descriptors)
                say(forked=request["fork"], pid=pid)
            except OSError as error:
                say(forked=request["fork"], error=str(error))
            for descriptor in descriptors:
                os.close(descriptor)
        else:
            try:
                _, status = os.waitpid(request["reap"], 0)
            except ChildProcessError:
                status = 0
            say(reaped=request["reap"], status=status)


serve_forks(s)  # The loader's socket.
