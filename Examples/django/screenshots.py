"""Looks at the pages of the running example with Chromium, for `screenshots`, which says where they are by EXAMPLE_... variables.

Chromium is told what to do over a pair of pipes (--remote-debugging-pipe): a JSON message each way, ended by a NUL. That needs no
package, and nobody else on the machine can connect.
"""

import base64
import fcntl
import itertools
import json
import os
import signal
import sys
import tempfile
from pathlib import Path

WIDTH, HEIGHT = 1440, 900
PATIENCE = 60

URL = os.environ["EXAMPLE_URL"]
FAILED = os.environ["EXAMPLE_FAILED"]

# Of each page: the file, the path, texts that must be there, an element that only the style sheet makes round.
PAGES = [
    ("project", "/", ["Latest tasks", "4782969", "ZeroDivisionError: division by zero", "Robert: 13", "Welcome, Ada"], ".state"),
    ("tasks", "/admin/hark/task/", ["sim.services.interesting_calculation", "[3, 14]", "completed", "failed", "2/2"], ".hark-state"),
    (
        "failed",
        f"/admin/hark/task/{FAILED}/change/",
        ["sim.tasks.average_value", "ZeroDivisionError: division by zero", "Traceback (most recent call last)", "in average_value", "attempt 2"],
        ".hark-state",
    ),
    ("workers", "/admin/hark/worker/", ["listening", "default", "0 of"], ".hark-state"),
]


class Browser:
    def __init__(self, profile):
        commands, self.commands = pipe()
        self.answers, answers = pipe()
        arguments = ["chromium", "--headless=new", "--remote-debugging-pipe", f"--user-data-dir={profile}", "--no-first-run", "--disable-gpu"]
        arguments += ["--hide-scrollbars", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update"]
        if os.getuid() == 0:
            arguments.append("--no-sandbox")  # which Chromium refuses to make for root; it sees pages of this project only
        actions = [(os.POSIX_SPAWN_DUP2, commands, 3), (os.POSIX_SPAWN_DUP2, answers, 4), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
        self.pid = os.posix_spawnp("chromium", arguments, os.environ, file_actions=actions, setpgroup=0)
        os.close(commands)
        os.close(answers)
        self.numbers = itertools.count(1)
        self.unread = b""
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Page.enable")
        self.call("Emulation.setDeviceMetricsOverride", width=WIDTH, height=HEIGHT, deviceScaleFactor=1, mobile=False)

    def call(self, method, **params):
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params} | ({"sessionId": self.session} if self.session else {})
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        answer = self.hear(lambda message: message.get("id") == number)
        if "error" in answer:
            raise SystemExit(f"Chromium refuses {method}: {answer['error']}")
        return answer["result"]

    def hear(self, wanted):
        """The next message that is wanted. The others are of no interest."""
        while True:
            while b"\0" not in self.unread:
                data = os.read(self.answers, 1 << 20)
                if not data:
                    raise SystemExit("Chromium has ended")
                self.unread += data
            line, _, self.unread = self.unread.partition(b"\0")
            message = json.loads(line)
            if wanted(message):
                return message

    def loaded(self):
        self.hear(lambda message: message.get("method") == "Page.loadEventFired")

    def open(self, path):
        answer = self.call("Page.navigate", url=URL + path)
        if "errorText" in answer:
            raise SystemExit(f"{path} does not load: {answer['errorText']}")
        self.loaded()

    def ask(self, script):
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def picture(self, file):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": max(HEIGHT, size["height"]), "scale": 1}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)["data"]
        file.write_bytes(base64.b64decode(data))

    def end(self):
        os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


def pipe():
    """Two ends that are out of the way of 3 and 4, and stay here."""
    return tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 10) for end in os.pipe())


def log_in(browser):
    browser.open("/admin/login/?next=/admin/")
    user, password = json.dumps(os.environ["EXAMPLE_USER"]), json.dumps(os.environ["EXAMPLE_PASSWORD"])
    browser.ask(f"id_username.value = {user}; id_password.value = {password}; document.querySelector('#login-form').submit()")
    browser.loaded()


def look(browser, name, path, texts, styled, to):
    browser.open(path)
    shown = browser.ask("document.body.innerText")
    file = to / f"{name}.png"
    browser.picture(file)
    problems = [f"“{text}” is not there" for text in texts if text not in shown]
    if not browser.ask(f"parseFloat(getComputedStyle(document.querySelector({json.dumps(styled)}) ?? document.body).borderRadius) > 0"):
        problems.append(f"{styled} has no style")
    if browser.ask("[document.documentElement, ...document.querySelectorAll('.results, .wide')].some(e => e.scrollWidth > e.clientWidth)"):
        problems.append("it, or a table in it, has to be scrolled sideways")
    print(f"{file}: {'; '.join(problems) or 'as it should be'}", flush=True)
    return not problems


def main(to):
    signal.alarm(PATIENCE)  # an end to all waiting
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = Browser(profile)
        try:
            log_in(browser)
            good = [look(browser, *page, to) for page in PAGES]
        finally:
            browser.end()
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
