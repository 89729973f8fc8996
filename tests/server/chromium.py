"""A headless Chromium that is told what to open, and that tells what its console was told."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from websockets.sync.client import ClientConnection, connect

from tests.server.world import until

SECONDS = 60.0


class Page:
    """One page of a browser, over its debugging protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._number = socket, 0
        self.complaints: list[str] = []
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.ask(f"{domain}.enable")

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; return its answer."""
        self._number += 1
        self._socket.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            told = json.loads(self._socket.recv(timeout=SECONDS))
            if told.get("id") == self._number:
                assert "error" not in told, told
                found: dict[str, Any] = told["result"]
                return found
            self._noted(told)

    def _noted(self, told: dict[str, Any]) -> None:
        """Keep errors of the console, of scripts and of requests."""
        found = told.get("params", {})
        if told.get("method") == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(found["exceptionDetails"])[:500])
        elif told.get("method") == "Runtime.consoleAPICalled" and found["type"] == "error":
            self.complaints.append(json.dumps(found["args"])[:500])
        elif told.get("method") == "Log.entryAdded" and found["entry"]["level"] == "error":
            entry = found["entry"]
            # Prefect's own icons: its server has no favicon, and its pages ask for the icon of
            # a run's state before they know the state.
            if entry.get("url", "").endswith(("/favicon.ico", "/ico/undefined.svg")):
                return
            self.complaints.append(f"{entry['text']} {entry.get('url', '')}")

    def text(self) -> str:
        """Return what a person reads on the page now."""
        found = self.ask(
            "Runtime.evaluate", expression="document.body ? document.body.innerText : ''"
        )
        return str(found["result"].get("value", ""))

    def opened(self, url: str, *texts: str) -> str:
        """Open a page, wait until all texts are on it, and return what it reads."""
        self.ask("Page.navigate", url=url)
        return self._with(texts, url)

    def clicked(self, name: str, *texts: str) -> str:
        """Click on the tab of this name, and wait as `opened` does."""
        script = (
            "[...document.querySelectorAll('[role=tab], .p-tab, button')]"
            f".find(e => e.innerText.trim() === {json.dumps(name)}).click()"
        )
        told = self.ask("Runtime.evaluate", expression=script)
        assert "exceptionDetails" not in told, f"no tab {name}"
        return self._with(texts, f"the tab {name}")

    def _with(self, texts: tuple[str, ...], where: str) -> str:
        try:
            until(
                lambda: all(text in self.text() for text in texts), SECONDS, f"{texts} at {where}"
            )
        except AssertionError as error:
            raise AssertionError(f"{error}; the page reads: {self.text()}") from error
        time.sleep(1.0)  # for what it still draws and asks
        return self.text()

    def shot(self, file: Path) -> None:
        """Write what is to be seen as a PNG."""
        data = self.ask("Page.captureScreenshot", format="png")["data"]
        file.write_bytes(base64.b64decode(data))


@contextmanager
def page(folder: Path) -> Iterator[Page]:
    """Run a Chromium with its profile in a folder; skip where there is none."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("no Chromium (Debian: apt-get install chromium)")
    words = [
        "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
        "--window-size=1400,1000", "--remote-debugging-port=0", f"--user-data-dir={folder}",
    ]  # fmt: skip
    log = folder.with_suffix(".log")
    with log.open("wb") as out:
        process = subprocess.Popen([program, *words, "about:blank"], stdout=out, stderr=out)
    try:
        noted = folder / "DevToolsActivePort"
        until(noted.exists, SECONDS, f"Chromium is up; its log is {log}")
        port = noted.read_text().split()[0]
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=10) as answer:
            (tab,) = [t for t in json.loads(answer.read()) if t["type"] == "page"]
        with connect(tab["webSocketDebuggerUrl"], max_size=None) as socket:
            yield Page(socket)
    finally:
        process.terminate()
        process.wait(20)
