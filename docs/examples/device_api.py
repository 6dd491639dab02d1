#!/usr/bin/env python3
"""How a device-api drives tope-updater: one whole update, in Python 3 with its standard library alone.

    python3 device_api.py --updater http://127.0.0.1:12315 --listen 9080 request.json

request.json holds the body of POST /download. Prints what happens; exit status 0: installed, 1: failed or refused.
"""
import argparse
import http.server
import json
import sys
import threading
import time
import urllib.request

doorbell = threading.Event()


def say(*words):
    """A line in one piece: print() from two threads would mix lines."""
    sys.stdout.write(" ".join(words) + "\n")
    sys.stdout.flush()


class Reports(http.server.BaseHTTPRequestHandler):
    """Takes the updater's reports. Answers at once: a report has 500 ms, and any 2xx will do."""

    def do_POST(self):
        report = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(204)
        self.end_headers()
        say(f"report: {report['stage']} {report['progress']} %")
        doorbell.set()

    def log_message(self, *_):
        """Not a line for each request."""


class Updater:
    def __init__(self, url):
        self.url = url

    def call(self, path, body=None):
        """The reply's `data`. A refusal raises RuntimeError with `CODE: text`."""
        reply = self.reply(path, body)
        if reply["code"] != 200:
            raise RuntimeError(reply["msg"])
        return reply["data"]

    def progress(self):
        """Never raises for a failed update: that is a stage like others, and `code` is 500 then."""
        return self.reply("/api/v1.0/progress")["data"]

    def reply(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)

    def wait_while(self, *stages):
        """A report only rings the bell; what is true is asked for. So a lost, late or repeated report does no harm."""
        while True:
            doorbell.clear()
            now = self.progress()
            if now["stage"] not in stages:
                return now
            doorbell.wait(timeout=2)


def keep_holding(updater, owner, is_busy):
    """Renews the hold while the device must not be disturbed. If this program dies, the hold ends by itself."""
    while is_busy():
        updater.call("/api/v1.0/hold", {"owner": owner, "reason": "a print is running", "ttl_s": 30})
        time.sleep(0.5)
    updater.call("/api/v1.0/release", {"owner": owner})


def update(updater, request):
    say("download:", updater.call("/api/v1.0/download", request)["status"])
    now = updater.wait_while("downloading", "verifying")
    if now["stage"] != "toInstall":
        return now
    print_ends = time.monotonic() + 1
    holding = threading.Thread(
        target=keep_holding, args=(updater, "device-api", lambda: time.monotonic() < print_ends)
    )
    holding.start()
    say("update:", updater.call("/api/v1.0/update", {"version": request["version"]})["status"])
    now = updater.wait_while("installing", "rebooting")
    holding.join()
    return now


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--updater", default="http://127.0.0.1:12315")
    arguments.add_argument("--listen", type=int, default=9080)
    arguments.add_argument("request")
    given = arguments.parse_args()

    reports = http.server.ThreadingHTTPServer(("127.0.0.1", given.listen), Reports)
    threading.Thread(target=reports.serve_forever, daemon=True).start()
    updater = Updater(given.updater)
    with open(given.request, encoding="utf-8") as file:
        request = json.load(file)
    try:
        now = update(updater, request)
    except RuntimeError as refusal:
        say("refused:", str(refusal))
        return 1
    last = updater.call("/api/v1.0/history")["updates"][:1]
    say("end:", now["stage"], now["error"] or "", *(f"{e['version']} {e['outcome']}" for e in last))
    return 0 if now["stage"] == "success" else 1


if __name__ == "__main__":
    sys.exit(main())
