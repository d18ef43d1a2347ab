# An interpreter: tasks in, replies out, stops and recalls in between, and everything back in its place after each.


class Interpreter:
    django = None

    def __init__(self, settings, tasks, control):
        self.modules, self.result_limit, self.memory_limit = settings["modules"], settings["result_limit"], settings["memory_limit"]
        self.tasks_left = settings["tasks_per_interpreter"] or -1
        self.tasks, self.control = tasks, control
        self.pid, self.main, self.lock = os.getpid(), get_ident(), RLock()
        self.busy, self.again, self.is_heard = True, False, True

        self.pending = collections.deque()  # What has not begun: (header, function, queue, args).
        self.rest, self.need = bytearray(), TASK.size  # The beginning of a frame, and how long it must get to be worth a look.
        self.ended = self.retired = self.paused = False
        self.doomed = collections.deque(maxlen=64)  # (id, token) of what was to stop and was not here yet.

        self.task, self.stop, self.stopped = None, self.raise_stop, False
        self.found, self.functions = {}, {}  # By the bytes of their names: what was found, and how it is called.

        self.looked_at = time.perf_counter_ns()
        self.threads, self.thread_count, self.told_of_threads = set(threading.enumerate()), thread_count(), set()
        signals = signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD, WAKE
        signal.signal(WAKE, self.on_signal)
        self.signals, self.every_signal = tuple(map(int, signals)), signal.valid_signals()
        self.handlers = tuple(map(getsignal, self.signals))
        self.directory, self.umask = settings["directory"], os.umask(0)
        os.umask(self.umask)
        self.descriptors = [os.fstat(number)[1:3] for number in (0, 1, 2)]
        watch = select.epoll()
        self.watch = select.epoll.fromfd(high(watch.fileno()))
        self.watch.register(1, 0)
        self.watch.register(2, 0)
        self.poll = select.poll()
        self.poll.register(tasks, select.POLLIN)
        self.poll.register(control, select.POLLIN)
        self.control_poll = select.poll()
        self.control_poll.register(control, select.POLLIN)

    # Frames

    def send(self, frame):
        """Writes a frame, in whatever thread, also within a signal handler or a finalizer."""
        if get_ident() != self.main:
            return self.put(frame)
        was = self.busy
        try:
            self.busy = True
            self.put(frame)
        finally:
            self.busy = was
        if self.again and not was:
            self.wake(False)

    def put(self, frame):
        try:
            with self.lock:
                self.tasks.sendall(frame)
        except OSError as error:
            self.lost(error)

    @staticmethod
    def lost(error):
        """The connection is gone: with the worker, or because the function has closed its descriptor."""
        os._exit(83 if error.errno in (errno.EBADF, errno.ENOTSOCK) else 0)

    def log(self, text, stream=2):
        task = self.task
        for payload in log_frames(text):
            self.send(REPLY.pack(18 + len(payload), LOG, 0, task[0][2] if task else 0, stream) + payload)

    def fill(self):
        """Reads what is there, without waiting, and cuts it into tasks. Tells whether there may be more."""
        try:
            data = self.tasks.recv(65536, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            data = b""
        except OSError as error:
            self.lost(error)
        if not data:
            self.ended = True
            return False
        if self.rest:
            self.rest += data
            if len(self.rest) < self.need:
                return True
            data = bytes(self.rest)
            self.rest.clear()
        start, size, self.need = 0, len(data), TASK.size
        while size - start >= 41:
            header = TASK.unpack_from(data, start)
            queue = start + 41 + header[7]
            args, end = queue + header[8], start + 4 + header[0]
            if header[1] != 1 or args > end:
                write_all(2, b"the worker has sent what is no task\n")
                os._exit(70)
            if end > size:
                self.need = end - start
                break
            self.pending.append((header, data[start + 41 : queue], data[queue:args], data[args:end]))
            start = end
        if start < size:
            self.rest += data[start:]
        if self.retired:
            self.pending.clear()
        return True

    def wait(self):
        """Until there is a task to begin. Does not return if there will be none."""
        while not self.pending:
            if self.ended:
                self.leave()
            for descriptor, event in self.poll.poll():
                if event & select.POLLNVAL:
                    os._exit(83)
                if descriptor == self.control.fileno():
                    self.again = True
            self.fill()
            if self.again and not self.pending:
                self.wake(True)
        if self.django:
            self.django.clean()

    def on_signal(self, number, frame):
        self.again = True
        if not self.busy and interpreter is self:
            self.wake(False)

    def wake(self, busy):
        """Does what the worker has said on the control socket, and leaves `busy` as given. May raise TaskStopped if that is false."""
        stop = False
        while self.again:
            mask = pthread_sigmask(signal.SIG_BLOCK, ())
            try:
                self.busy = True
                pthread_sigmask(signal.SIG_BLOCK, self.every_signal)
                self.again = False
                stop = self.obey() or stop
            finally:
                self.busy = busy
                pthread_sigmask(signal.SIG_SETMASK, mask)
        if stop:
            self.stop()

    def obey(self):
        """Reads all that is there, and answers each recall. Tells whether the current task is to stop."""
        stop = False
        while self.is_heard:
            try:
                data = self.control.recv(65536, socket.MSG_DONTWAIT)
            except BlockingIOError:
                break
            except OSError as error:
                self.lost(error)
            if not data:
                self.is_heard = False
                self.poll.unregister(self.control)
                break
            message = json.loads(data)
            id, token = self.task[0][2:4] if self.task else (None, None)
            if "interrupt" in message:
                if message["interrupt"] == id and message.get("token", token) == token:
                    stop = stop or not self.stopped
                else:
                    # It has ended, or is not here as a whole yet.
                    self.doomed.append((message["interrupt"], message.get("token")))
            if message.get("recall"):
                self.paused = False
                while self.fill():
                    pass
                ids = [task[0][2] for task in self.pending]
                self.pending.clear()
                self.send(REPLY.pack(18 + 8 * len(ids), RECALLED, 0, 0, 0) + struct.pack(f"<{len(ids)}q", *ids))
        return stop

    def pause(self):
        """After a function that has started processes: nothing begins before the worker has had back what it handed ahead."""
        self.paused = True
        while self.paused:
            self.again = True
            self.wake(True)
            if not self.is_heard:
                self.leave()
            if self.paused:
                self.control_poll.poll()

    # One task after the other

    def serve(self):
        global noticed
        pending, functions, put, pack = self.pending, self.functions, self.put, REPLY.pack
        clock, getpid, scan = time.perf_counter_ns, os.getpid, json.JSONDecoder().scan_once
        self.send(pack(18, READY, 0, 0, self.pid))
        while True:
            if not pending:
                self.wait()
            self.task = pending.popleft()
            header, name, _, text = self.task
            args, kwargs, result, payload, sentence, failure = (), {}, None, b"", None, None
            noticed = 0
            began = clock()
            try:
                try:
                    self.busy = False
                    if self.again:
                        self.wake(False)
                    if self.doomed and header[2:4] in self.doomed:
                        self.raise_stop()
                    function = functions.get(name)
                    if function is None:
                        function = self.resolve(name)
                    if text == b"[]":
                        result = function()
                    else:
                        args, _ = scan(text.decode(), 0)
                        if args.__class__ is dict:
                            args, kwargs = (), args
                            if kwargs.get("*").__class__ is list:
                                args = kwargs.pop("*")
                        result = function(*args, **kwargs)
                    if result is not None:
                        payload, sentence = self.payload_of(result)
                    ended = clock()
                    self.busy = True
                except BaseException as error:
                    self.busy = True
                    failure = error
            except BaseException as error:
                self.busy = True
                failure = error
            if getpid() != self.pid:
                os._exit(0 if failure is None else 1)  # The function has forked, and returned in the child as well.
            if failure is not None:
                ended = clock()
            result = None
            try:
                flags = self.tidy(ended, sentence)
            except BaseException:  # There is no memory, or a signal handler of the function's has come at the last moment.
                self.lift_memory_limit()
                flags = self.tidy(ended, sentence) | RETIRE
            if failure is not None:
                reply = self.reply_to(failure, flags, ended - began, args, kwargs)
                failure = None
            elif len(payload) <= self.result_limit:
                reply = pack(18 + len(payload), DONE, flags, header[2], ended - began) + payload
            else:
                reply = pack(18, TOO_LARGE, flags, header[2], len(payload))
            self.task, self.stopped = None, False
            put(reply)
            if flags & (RETIRE | CHILDREN) or self.retired:
                self.retired = True
                pending.clear()
            elif flags & SPAWNED:
                self.pause()
            args = kwargs = text = payload = reply = None  # Nothing of it is kept while the next one is waited for.

    def raise_stop(self):
        self.stopped = True
        raise TaskStopped("the task was stopped")

    def resolve(self, name):
        self.found[name] = found = find(name.decode("utf-8", "replace"), self.modules)
        self.functions[name] = function = callable_of(found)
        return function

    def payload_of(self, result):
        """The body of a coroutine or a generator is the function's: it runs, fails and is stopped here."""
        if isinstance(result, abc.Coroutine):
            result = self.run_coroutine(result)
        if isinstance(result, GeneratorType):
            items = list(itertools.islice(result, MANY + 1))
            if len(items) > MANY:
                return encode(str(result))[0], "the result has a generator, which JSON cannot hold: stored as text"
            result = items
        return (b"", None) if result is None else encode(result)

    def run_coroutine(self, coroutine):
        """A stop cancels the asyncio task. Before there is one it is only noted, and when the coroutine has ended it means nothing."""
        import asyncio

        async def main():
            loop, task = asyncio.get_running_loop(), asyncio.current_task()

            def cancel():
                self.stopped = True
                loop.call_soon_threadsafe(task.cancel)

            self.stop = cancel
            try:
                if self.stopped:
                    raise TaskStopped("the task was stopped")
                await self.tidy_other_thread()
                return await coroutine, None
            except BaseException as error:
                return None, error
            finally:
                self.stop = lambda: None
                await self.tidy_other_thread()

        def note():
            self.stopped = True

        self.stop = note
        try:
            result, error = asyncio.run(main())
        finally:
            self.stop = self.raise_stop
        if error is None:
            return result
        if self.stopped and isinstance(error, asyncio.CancelledError):
            raise TaskStopped("the task was stopped") from error
        raise error

    async def tidy_other_thread(self):
        """What an async function asks of Django's database happens in a thread that asgiref keeps, on connections of its own."""
        if self.django and thread_count() and not self.stopped:
            from asgiref.sync import sync_to_async

            await sync_to_async(self.django.clean)()

    def reply_to(self, error, flags, took, args, kwargs):
        kind, number, message, detail = ERROR, took, None, None
        verdict = verdict_of(error)
        if isinstance(error, MemoryError):
            self.lift_memory_limit()
            flags |= RETIRE
            self.retired = True
        if isinstance(error, Refused):
            kind, message, detail = (*error.args, b"")[:3]
        elif verdict:
            kind, number, message = verdict[0], took if verdict[0] == FAIL else verdict[1], verdict[2].strip()
        elif isinstance(error, TypeError) and self.task[1] in self.found:
            reason = misfit(self.found[self.task[1]], error, args, kwargs)
            if reason:
                kind, message, detail = FAIL, f"arguments do not fit {self.task[1].decode()}{reason}", b""
        payload = b""
        if kind != SNOOZE:
            message = storable(message or message_of(error))
            payload = struct.pack("<I", len(message)) + message + (detail_of(error) if detail is None else detail)
        return REPLY.pack(18 + len(payload), kind, flags, self.task[0][2], number) + payload

    # What a function leaves behind

    def tidy(self, now, sentence):
        """Puts back what the function has moved, says what it has left, and returns the flags of the reply."""
        flags = noticed & (SPAWNED | CHILDREN)
        if tuple(map(getsignal, self.signals)) != self.handlers:
            for number, handler in zip(self.signals, self.handlers):
                if handler is not None:
                    signal.signal(number, handler)
        if getitimer(0)[0]:
            setitimer(0, 0)
        if pthread_sigmask(0, ()):
            pthread_sigmask(signal.SIG_SETMASK, ())
        os.umask(self.umask)
        if sys.stdout is not OUT or sys.stderr is not ERR:
            sys.stdout, sys.stderr = OUT, ERR
        if OUT.parts or ERR.parts:
            OUT.emit(True)
            ERR.emit(True)
        if sentence:
            self.log(sentence)
        if self.django:
            self.django.clean()
        elif "django.db" in sys.modules:
            self.django = Django.loaded()
        if not self.has_descriptors():
            self.log("the function closed or replaced its standard descriptors; this interpreter is replaced")
            flags |= RETIRE
        if noticed & MOVED:
            try:
                os.chdir(self.directory)
            except OSError:
                flags |= RETIRE
        try:
            while True:
                ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if ended is None:
                    flags |= CHILDREN
                    break
                os.waitpid(ended.si_pid, 0)
        except ChildProcessError:
            pass
        if thread_count() != self.thread_count:
            self.look_at_threads()
        self.tasks_left -= 1
        if self.tasks_left == 0:
            flags |= RETIRE
        if self.stopped:
            flags |= INTERRUPTED | RETIRE
        if now - self.looked_at > 100_000_000:
            self.looked_at = now
            setitimer(1, 0)
            setitimer(2, 0)
            if self.memory_limit and pages(1) > self.memory_limit:
                flags |= RETIRE
        return flags

    def has_descriptors(self):
        """Whether 0, 1 and 2 are what they were. Asking epoll for a pipe that it knows under this number costs half of an fstat."""
        try:
            self.watch.modify(1, 0)
            self.watch.modify(2, 0)
            if not os.get_blocking(0):  # As nothing else is that would come in its place.
                return True
        except OSError:
            pass
        try:
            return [os.fstat(number)[1:3] for number in (0, 1, 2)] == self.descriptors
        except OSError:
            return False

    def look_at_threads(self):
        self.thread_count = thread_count()
        pooled = getattr(sys.modules.get("concurrent.futures.thread"), "_threads_queues", ())
        left = [thread for thread in threading.enumerate() if not thread.daemon and thread not in self.threads and thread not in pooled]
        self.threads.update(left)
        if left and self.task[1] not in self.told_of_threads:
            self.told_of_threads.add(self.task[1])
            self.log("threads of this function still run; they end with the interpreter")

    def limit_memory(self):
        """Twice as much as it may keep, but in any case that much more than it has now."""
        if self.memory_limit:
            _, hard = resource.getrlimit(resource.RLIMIT_DATA)
            soft = max(2 * self.memory_limit, pages(5) + self.memory_limit)
            resource.setrlimit(resource.RLIMIT_DATA, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))

    @staticmethod
    def lift_memory_limit():
        """After a MemoryError: what is still to be said needs memory too."""
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))

    def leave(self):
        """The orderly end. Threads that still run are not waited for."""
        try:
            if self.django:
                self.django.connections.close_all()
            atexit._run_exitfuncs()
        finally:
            os._exit(0)


def pages(field):
    """A field of proc_pid_statm(5), in bytes: 1 is what is resident, 5 what RLIMIT_DATA limits."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[field]) * resource.getpagesize()
