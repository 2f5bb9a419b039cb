"""Send the results of each epoch to a server."""

from __future__ import annotations

import json
import warnings
from typing import Any

import numpy as np

from amalthea.train.callbacks.callback import Callback, Logs


class RemoteMonitor(Callback):
    """Send the results of each epoch to a server by HTTP POST.

    Args:
        root: address of the server.
        path: path on the server.
        field: name of the form field that carries the JSON, unless `send_as_json`.
        headers: further HTTP headers, or None.
        send_as_json: whether to send a JSON body instead of a form.

    >>> monitor = RemoteMonitor("http://localhost:9000", send_as_json=True)
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        self.root = root
        self.path = path
        self.field = field
        self.headers = headers
        self.send_as_json = send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        # heavy, and needed by nobody else
        import urllib.error
        import urllib.parse
        import urllib.request

        message: dict[str, Any] = {"epoch": epoch}
        for name, value in (logs or {}).items():
            message[name] = np.asarray(value).tolist() if isinstance(value, (np.ndarray, np.generic)) else value
        text = json.dumps(message)
        if self.send_as_json:
            body, kind = text.encode(), "application/json"
        else:
            body, kind = urllib.parse.urlencode({self.field: text}).encode(), "application/x-www-form-urlencoded"
        request = urllib.request.Request(self.root + self.path, body, {"Content-Type": kind, **(self.headers or {})})
        try:
            urllib.request.urlopen(request, timeout=10).close()
        except (urllib.error.URLError, OSError) as error:
            warnings.warn(f"RemoteMonitor: {self.root} cannot be reached ({error})", stacklevel=2)
