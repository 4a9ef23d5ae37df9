"""A headless Chromium, spoken to by the WebDriver protocol; nothing but the standard library."""

import json
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request

FLAGS = [
    *["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
    *["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    *["--hide-scrollbars", "--force-device-scale-factor=1"],
]
KEYS = {"right": "\ue014", "down": "\ue015", "left": "\ue012", "tab": "\ue004", "enter": "\ue007",
        "delete": "\ue017", "end": "\ue010", "space": " "}  # fmt: skip


def missing():
    """What is not installed, or None."""
    names = ("chromium", "chromedriver")
    return next((name for name in names if shutil.which(name) is None), None)


class Browser:
    """One browser window; a context manager."""

    def __enter__(self):
        self._profile = tempfile.mkdtemp(prefix="chromium-")
        self._driver = subprocess.Popen(
            [shutil.which("chromedriver"), "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for line in self._driver.stdout:
            if "started successfully on port" in line:
                port = line.rsplit("port", 1)[1].strip(" .\n")
                break
        else:
            raise RuntimeError("chromedriver did not start")
        self._root = f"http://127.0.0.1:{port}/session"
        options = {
            "binary": shutil.which("chromium"),
            "args": [*FLAGS, f"--user-data-dir={self._profile}"],
        }
        wanted = {"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}}
        session = self._call("", {"capabilities": {"alwaysMatch": wanted}}, root=self._root)
        self._root += f"/{session['sessionId']}"
        return self

    def __exit__(self, *_):
        try:
            self._call("", None, method="DELETE")
        finally:
            self._driver.terminate()
            self._driver.wait(timeout=30)
            self._driver.stdout.close()
            shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, path, *, width=1200, height=900, dark=False, phone=False):
        self._cdp("Emulation.setEmulatedMedia", features=[
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        ])  # fmt: skip
        self._cdp(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=phone,
        )  # fmt: skip
        self._call("/url", {"url": f"file://{path}"})

    def console(self):
        """What the page logged, errors of loading and of its policy included."""
        return [entry["message"] for entry in self._call("/se/log", {"type": "browser"})]

    def script(self, source, *arguments):
        return self._call("/execute/sync", {"script": source, "args": list(arguments)})

    def text(self, selector):
        return self.script("return document.querySelector(arguments[0]).textContent", selector)

    def hover(self, selector, x=0.5, y=0.5, *, click=False):
        """Moves the mouse to a place of an element, in shares of its width and height."""
        box = self.script(
            "const e = document.querySelector(arguments[0]); e.scrollIntoView({block: 'center'});"
            "const b = e.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]",
            selector,
        )
        place = {"x": round(box[0] + x * box[2]), "y": round(box[1] + y * box[3])}
        self._point([place], press=click)

    def drag(self, places, *, kind="mouse"):
        """Presses at the first place of the window, [x, y], moves to the others, and lets go."""
        self._point([{"x": round(x), "y": round(y)} for x, y in places], press=True, kind=kind)

    def _point(self, places, *, press, kind="mouse"):
        steps = [{"type": "pointerMove", "duration": 0, "origin": "viewport", **p} for p in places]
        if press:
            steps.insert(1, {"type": "pointerDown", "button": 0})
            steps.append({"type": "pointerUp", "button": 0})
        self._call("/actions", {"actions": [
            {"type": "pointer", "id": kind, "parameters": {"pointerType": kind}, "actions": steps},
        ]})  # fmt: skip

    def press(self, *names):
        """Presses keys: those named in KEYS, others as they are."""
        keys = [KEYS.get(name, name) for name in names]
        steps = [{"type": kind, "value": key} for key in keys for kind in ("keyDown", "keyUp")]
        self._call("/actions", {"actions": [{"type": "key", "id": "keyboard", "actions": steps}]})

    def busy(self):
        """Seconds that the page's thread has computed since the first call, waits left out."""
        self._cdp("Performance.enable", timeDomain="threadTicks")
        found = self._cdp("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in found if each["name"] == "TaskDuration")

    def _cdp(self, name, **parameters):
        return self._call("/goog/cdp/execute", {"cmd": name, "params": parameters})

    def _call(self, path, body, *, method="POST", root=None):
        request = urllib.request.Request(
            (root or self._root) + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return json.load(answer)["value"]
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(error.read().decode()) from None
