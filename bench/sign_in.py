"""A person at a browser, and what the application behind does: how the first refresh token is come by."""

import hashlib
import re
import secrets
import urllib.parse
from http.cookies import SimpleCookie

import tokens

REDIRECT_URI = "http://127.0.0.1:9999/callback"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Browser:
    """Keeps cookies, sends forms with their hidden fields, goes where redirects lead."""

    def __init__(self, port):
        self.connection, self.cookies = tokens.connect(port), {}

    def send(self, method, url, fields=None):
        """The page at the end of the redirects, or the redirect that leads out of the server."""
        while not url.startswith(REDIRECT_URI):
            headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
            body = urllib.parse.urlencode(fields) if fields is not None else None
            path = urllib.parse.urlsplit(url)._replace(scheme="", netloc="").geturl()
            self.connection.request(method, path, body, {**headers, **(FORM if body is not None else {})})
            answer = self.connection.getresponse()
            text = answer.read().decode()
            for line in answer.headers.get_all("Set-Cookie", []):
                for name, morsel in SimpleCookie(line).items():
                    self.cookies[name] = morsel.value
            if answer.status not in (302, 303):
                if answer.status != 200:
                    raise RuntimeError(f"{method} {path}: {answer.status} {text[:2000]}")
                return None, text
            method, url, fields = "GET", answer.headers["Location"], None
        return url, None

    def lead(self, url, person):
        """Through whatever pages an authorization request leads to, up to the redirect back."""
        back, page = self.send("GET", url)
        for _ in range(6):
            if back:
                return dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(back).query))
            action = re.search(r'<form[^>]* action="([^"]*)"', page).group(1)
            names = dict(re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)"', page))
            back, page = self.send("POST", action, {**names, **self.filled(page, person)})
        raise RuntimeError(f"the pages do not end: {page}")

    @staticmethod
    def filled(page, person):
        """A name goes into whatever the page calls it; where no password is asked for, it asks for consent."""
        if 'name="password"' not in page:
            return {"decision": "approve"}
        name = "username" if 'name="username"' in page else "login"
        return {name: person[0], "password": person[1]}


class App:
    """An application that signs people in and redeems what it gets. RFC 6749 section 4.1, RFC 7636."""

    def __init__(self, server, endpoint, client, scope, resource, person):
        self.server, self.endpoint, self.client, self.scope = server, endpoint, client, scope
        self.resource, self.person = resource, person

    def tokens(self):
        """One person's sign-in, in a browser of its own: the token answer."""
        verifier = secrets.token_urlsafe(32)
        challenge = tokens.b64(hashlib.sha256(verifier.encode()).digest())
        request = {
            "response_type": "code", "client_id": self.client["client_id"], "redirect_uri": REDIRECT_URI,
            "scope": self.scope, "state": secrets.token_urlsafe(8), "code_challenge": challenge,
            "code_challenge_method": "S256", **self.resource,
        }
        query = urllib.parse.urlencode(request)
        back = Browser(self.server.port).lead(f"{self.endpoint}?{query}", self.person)
        if "code" not in back or back.get("state") != request["state"]:
            raise RuntimeError(f"{self.server.name}: no code but {back}")
        return self.redeem(grant_type="authorization_code", code=back["code"], redirect_uri=REDIRECT_URI,
                           code_verifier=verifier)

    def redeem(self, **form):
        status, answer = tokens.ask(self.server.port, self.client, form)
        if status != 200:
            raise RuntimeError(f"{self.server.name}: {status} {answer}")
        return answer
