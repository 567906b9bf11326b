"""Chromium driven by its own protocol through a pipe: real keys, clicks and widths, every request and complaint."""

import base64
import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from contextlib import contextmanager

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
BASH = shutil.which("bash")
LIMIT = 60  # seconds for one answer
KEYS = {"ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40, "Home": 36, "End": 35, "PageUp": 33,
        "PageDown": 34, "Tab": 9, "[": 219, "]": 221}  # fmt: skip


class Tab:
    """One page of the browser. ``events`` has all that it reported, ``complaints`` and ``requests`` what matters."""

    def __init__(self, write, read):
        self._write, self._read, self._rest, self._count = write, read, b"", 0
        self.session, self.events = None, []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")

    def call(self, method, **parameters):
        """The result of one command."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": parameters}
        message |= {"sessionId": self.session} if self.session else {}
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, answer["error"]
                return answer["result"]

    def _next(self):
        end = time.monotonic() + LIMIT
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0, end - time.monotonic()))
            assert ready, "the browser does not answer"
            self._rest += os.read(self._read, 1 << 20)
        text, self._rest = self._rest.split(b"\0", 1)
        message = json.loads(text)
        if "method" in message:
            self.events.append(message)
        return message

    def open(self, path, width=1280, height=900, *, dark=False, still=False, script=True):
        """Load a file at this width, and wait until it is loaded."""
        self.events.clear()
        features = {"prefers-color-scheme": "dark" if dark else "light"}
        features |= {"prefers-reduced-motion": "reduce" if still else "no-preference"}
        self.call("Emulation.setEmulatedMedia", features=[{"name": n, "value": v} for n, v in features.items()])
        self.call("Emulation.setScriptExecutionDisabled", value=not script)
        self.resize(width, height)
        self.call("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self._next()

    def resize(self, width, height, scale=1):
        """A window of this size in pixels of CSS."""
        self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=scale, mobile=False
        )

    def run(self, code):
        """The value of an expression."""
        done = self.call("Runtime.evaluate", expression=code, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def key(self, name, times=1):
        """Press a key, as a hand does."""
        letter = {"text": name} if len(name) == 1 else {}
        for _ in range(times):
            both = {"key": name, "windowsVirtualKeyCode": KEYS[name], "code": name if len(name) > 1 else ""}
            self.call("Input.dispatchKeyEvent", type="keyDown" if letter else "rawKeyDown", **both, **letter)
            self.call("Input.dispatchKeyEvent", type="keyUp", **both)

    def click(self, selector, across=0.5, down=0.5):
        """Click an element at a share of its width and height."""
        x, y = self.run(
            f"""(() => {{
              const element = document.querySelector({json.dumps(selector)});
              element.scrollIntoView({{ block: "center" }});
              const box = element.getBoundingClientRect();
              return [box.left + {across} * box.width, box.top + {down} * box.height];
            }})()"""
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path, clip=None):
        """A screenshot of the window, or of a box (x, y, width, height) of the page."""
        more = {"clip": dict(zip(("x", "y", "width", "height"), clip, strict=True), scale=1)} if clip else {}
        data = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=bool(clip), **more)["data"]
        path.write_bytes(base64.b64decode(data))

    @property
    def complaints(self):
        """Errors, warnings and everything else that the page said on its console."""
        kinds = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")
        return [event for event in self.events if event["method"] in kinds]

    @property
    def requests(self):
        """Addresses that the page asked for, other than itself and what it holds."""
        asked = [e["params"]["request"]["url"] for e in self.events if e["method"] == "Network.requestWillBeSent"]
        return [url for url in asked[1:] if not url.startswith("data:")]


@contextmanager
def chromium(profile):
    """A tab of a browser that ends with the block."""
    ours = [*os.pipe(), *os.pipe()]  # theirs to read, ours to write, ours to read, theirs to write
    high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in ours]
    for fd in ours:
        os.close(fd)
    their_read, write, read, their_write = high
    command = [
        *(BASH, "-c", f'exec "$@" 3<&{their_read} 4>&{their_write}', "bash", BROWSER),
        *("--headless", "--remote-debugging-pipe", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *("--disable-background-networking", "--disable-extensions", "--disable-dev-shm-usage", "--disable-sync"),
        *("--hide-scrollbars", f"--user-data-dir={profile}"),
    ]
    process = subprocess.Popen(command, pass_fds=(their_read, their_write), stderr=subprocess.DEVNULL)
    os.close(their_read)
    os.close(their_write)
    try:
        tab = Tab(write, read)
        yield tab
        tab.session = None
        tab.call("Browser.close")
        process.wait(LIMIT)
    finally:
        process.kill()
        process.wait()
        os.close(write)
        os.close(read)
