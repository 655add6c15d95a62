"""A mail server that nobody here wrote (aiosmtpd): STARTTLS before anything is said, a user and a password after it.

Usage: server.py PORT CERTIFICATE KEY FILE. Each message that it takes becomes a line of JSON in FILE: from, to, subject, text.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

port, certificate, key, taken = sys.argv[1:]


class Keep:
    async def handle_RCPT(self, server, session, envelope, address, options):
        if address.startswith("nobody@"):
            return "550 5.1.1 nobody of that name here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.default)
        line = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "subject": message["subject"],
            "automatic": message["auto-submitted"],
            "tls": session.ssl is not None,
            "text": message.get_content(),
        }
        with open(taken, "a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        return "250 OK"


def known(server, session, envelope, mechanism, auth_data):
    good = isinstance(auth_data, LoginPassword) and auth_data == LoginPassword(b"gate", b"the mail password")
    return AuthResult(success=good, handled=not good)


async def main():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)

    def session():
        return SMTP(Keep(), tls_context=context, require_starttls=True, authenticator=known, auth_required=True)

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", int(port))
    print("ready", flush=True)
    await server.serve_forever()


asyncio.run(main())
