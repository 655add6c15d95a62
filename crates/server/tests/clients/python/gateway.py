"""What the scripts of every client need: the gateway's ready file and commands, a person at its pages, flows.

Usage of each script: python SCRIPT.py READY_FILE CHARTGATE FOLDER, with the demo's CA in REQUESTS_CA_BUNDLE.
"""

import html
import json
import pathlib
import re
import subprocess
import sys
import traceback
from urllib.parse import urljoin

import requests

READY_FILE, PROGRAM, FOLDER = sys.argv[1:]
ready = json.loads(pathlib.Path(READY_FILE).read_text())
ISSUER, FHIR = ready["issuer"], ready["fhir_base"]
CALLBACK = "http://127.0.0.1:9999/callback"
CIBA = "urn:openid:params:grant-type:ciba"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
DANA = next(user for user in ready["users"] if user["username"] == "dana")
PATIENT = DANA["patients"][0]


def chartgate(*words):
    """Gives a command to the gateway."""
    command = [PROGRAM, "--config", ready["config_file"], *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def register(client_id, kind, *options):
    """Registers a client; gives what `client add` prints."""
    return json.loads(chartgate("client", "add", client_id, "--kind", kind, *options))


def grants(*names):
    return [word for name in names for word in ("--grant", name)]


def file(name, text):
    path = pathlib.Path(FOLDER, name)
    path.write_text(text)
    return str(path)


def opens(token):
    """Whether an access token opens a record."""
    headers = {"Authorization": f"Bearer {token}"}
    return requests.get(f"{FHIR}/Patient/{PATIENT}", headers=headers).status_code == 200


class Person:
    """Dana's browser: cookies, forms with their hidden fields, redirects up to the one that leaves the gateway."""

    def __init__(self):
        self.browser = requests.Session()

    def open(self, address, fields=None):
        """The page to which an address leads, or the address outside."""
        method = "GET" if fields is None else "POST"
        while True:
            answer = self.browser.request(method, address, data=fields, allow_redirects=False)
            if "location" not in answer.headers:
                return answer
            address, method, fields = urljoin(ISSUER, answer.headers["location"]), "GET", None
            if not address.startswith(f"{ISSUER}/"):
                return address

    def lead(self, address, until=None, code=None):
        """Goes through the pages and says yes, until the browser leaves or `until` stands on a page."""
        page = self.open(address)
        for _ in range(8):
            if isinstance(page, str):
                return page
            assert page.status_code == 200, page.text
            if until and until in page.text:
                return page
            action = re.search(r'<form method="post" action="([^"]*)"', page.text)[1]
            form = page.text.split("</form>")[0]
            hidden = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', form)
            fields = {name: html.unescape(value) for name, value in hidden}
            page = self.open(urljoin(ISSUER, action), fields | self.answer(page.text, code))
        raise AssertionError("the pages do not end")

    @staticmethod
    def answer(text, code):
        if 'name="password"' in text:
            return {"username": DANA["username"], "password": DANA["password"]}
        if 'name="user_code"' in text:
            return {"user_code": code}
        return {"decision": "approve"}


def run(client, flows):
    """Runs the flows of a client one after the other, and says of each whether it holds."""
    failed = False
    for name, flow in flows.items():
        try:
            flow()
            print(f"ok {client}: {name}", flush=True)
        except Exception as error:
            told = "".join(traceback.format_exception(error, chain=False, limit=-4))
            print(f"FAILED {client}: {name}: {told}", flush=True)
            failed = True
    sys.exit(1 if failed else 0)
