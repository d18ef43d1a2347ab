# Results and errors: what a function returns or raises, as bytes that PostgreSQL takes.


def refuse(value):
    raise TypeError(f"no JSON for a {type(value).__qualname__}")


markers = {}
chunks_of = json.encoder.c_make_encoder(markers, refuse, json.encoder.encode_basestring, None, ":", ",", False, False, False)


def encode(value):
    """The JSON that PostgreSQL takes, and a sentence for the log if something of the value could only be kept as text."""
    sentence = None
    try:
        text = "".join(chunks_of(value, 0))
    except Exception:
        text, sentence = encode_anything(value)
    if "\\u0000" in text:  # Which may also be two backslashes, and then four digits.
        text = ESCAPE.sub(lambda escape: "\ufffd" if escape[1] == "u0000" else escape[0], text)
    try:
        return text.encode(), sentence
    except UnicodeEncodeError:
        return SURROGATE.sub("\ufffd", text).encode(), sentence


def encode_anything(value):
    kinds = {}
    try:
        markers.clear()  # What the encoder was in the midst of when it gave up.
        text = "".join(chunks_of(plain(value, kinds), 0))
        names = ", ".join(map(with_article, list(kinds)[:5]))
        return text, f"the result has {names}, which JSON cannot hold: stored as text" if kinds else None
    except Exception as error:
        markers.clear()
        reason = "it is circular or too deep" if isinstance(error, RecursionError) else message_of(error)
        try:
            text = repr(value)
        except Exception:
            text = object.__repr__(value)
        return json.dumps(text, ensure_ascii=False), f"JSON cannot hold the result ({reason}): stored as text"


def plain(value, kinds):
    """The same in dicts, lists, texts and numbers. `kinds` gets the names of the types that have become text for want of anything better."""
    if isinstance(value, enum.Enum):
        return plain(value.value, kinds)
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        if math.isfinite(value):
            return value
        kinds["NaN" if math.isnan(value) else "Infinity"] = True
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, abc.Mapping):
        return {plain_key(key): plain(item, kinds) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name), kinds) for field in dataclasses.fields(value)}
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return duration(value)
    if isinstance(value, (decimal.Decimal, uuid.UUID, of_project("django.utils.functional", "Promise"))):
        return str(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            return repr(bytes(value))
    if isinstance(value, (of_project("numpy", "ndarray"), of_project("numpy", "generic"))):
        return plain(value.tolist(), kinds)
    query_set = isinstance(value, of_project("django.db.models", "QuerySet"))
    if query_set or isinstance(value, (list, tuple, collections.deque, abc.Set, abc.ValuesView, abc.Iterator, range)):
        some = value[: MANY + 1] if query_set else itertools.islice(value, MANY + 1) if isinstance(value, abc.Iterator) else value
        items = [plain(item, kinds) for item in some]
        if len(items) <= MANY or some is value:
            return items
    kinds[type(value).__qualname__] = True
    try:
        return str(value)
    except Exception:
        return object.__repr__(value)


def plain_key(key):
    if key is None or isinstance(key, (str, bool, int)) and not isinstance(key, enum.Enum):
        return key
    key = plain(key, {})
    return key if isinstance(key, str) else str(key)


def duration(delta):
    """ISO 8601, as Django writes it."""
    sign, delta = ("-", -delta) if delta.days < 0 else ("", delta)
    minutes, seconds = divmod(delta.seconds, 60)
    fraction = f".{delta.microseconds:06}" if delta.microseconds else ""
    return f"{sign}P{delta.days}DT{minutes // 60:02}H{minutes % 60:02}M{seconds:02}{fraction}S"


def of_project(module, name):
    """A class of a library that the project has loaded; nothing is an instance of one that it has not."""
    return getattr(sys.modules.get(module), name, ())


def with_article(noun):
    return f"{'an' if noun[:1].lower() in 'aeiou' else 'a'} {noun}"


def storable(text):
    """Bytes of a text that PostgreSQL takes."""
    return SURROGATE.sub("\ufffd", text.replace("\0", "\ufffd")).encode()


def message_of(error):
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ in ("builtins", "_hark") else f"{kind.__module__}.{kind.__qualname__}"
    try:
        text = "the function called sys.exit" if kind is SystemExit and error.code in (None, 0) else str(error).strip().partition("\n")[0]
    except BaseException:
        text = ""
    return f"{name}: {text}"[:500] if text else name


def detail_of(error):
    """The traceback, of the project's frames, with causes; its end, if it is long. Empty if there is no memory or stack for it."""
    try:
        whole = traceback.TracebackException(type(error), error, error.__traceback__, compact=True)
        waiting = [whole]
        while waiting:
            part = waiting.pop()
            part.stack[:] = [frame for frame in part.stack if not frame.filename.startswith(NOT_THEIRS)]
            waiting += filter(None, [part.__cause__, part.__context__, *(getattr(part, "exceptions", None) or ())])
        data = storable("".join(whole.format()).rstrip("\n"))
    except BaseException:
        return b""
    return data if len(data) <= DETAIL else data[-DETAIL:].decode("utf-8", "ignore").encode()


def verdict_of(error):
    """What `__hark_verdict__` of an exception says: the kind of reply, its number, the reason. None if there is none that makes sense."""
    try:
        verdict = error.__hark_verdict__
        if verdict[0] == "retry":
            return RETRY, -1 if verdict[1] is None else nanoseconds(verdict[1]), str(verdict[2])
        if verdict[0] == "snooze":
            return SNOOZE, nanoseconds(verdict[1]), ""
        return {"fail": FAIL, "cancel": CANCEL}[verdict[0]], 0, str(verdict[1])
    except Exception:
        return None


def nanoseconds(seconds):
    number = int(float(seconds) * 1e9)
    if not 0 <= number < 1 << 63:
        raise ValueError(f"a number of seconds from 0 to 9e9 was expected, not {seconds!r}")
    return number
