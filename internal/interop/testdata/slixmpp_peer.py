"""A client on slixmpp that a test drives through its standard input and output.

The first line on standard input is the password. Each line after that is a
JSON object {"to": jid, "body": text}, a message to send. The end of the input
ends the session.

Each line on standard output that starts with "{" is a JSON object with what
happened: "hello", "failed", "session", "message", "disconnected". Everything
else is the log of slixmpp.
"""

import argparse
import asyncio
import json
import logging
import platform
import ssl
import sys

import slixmpp
from slixmpp.util.sasl.mechanisms import SCRAM

VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def report(event, **facts):
    print(json.dumps({"event": event, **facts}), flush=True)


class Peer(slixmpp.ClientXMPP):
    def __init__(self, jid, password, ca, certificate, tls):
        super().__init__(jid, password)
        self.ca_certs = ca
        if certificate:
            self.certfile = certificate + "/cert.pem"
            self.keyfile = certificate + "/key.pem"
        self.ssl_context.minimum_version = tls
        self.ssl_context.maximum_version = tls
        self.over = asyncio.Event()
        self.add_event_handler("failed_auth", self.on_failed)
        self.add_event_handler("session_start", self.on_session)
        self.add_event_handler("message", self.on_message)
        self.add_event_handler("stream_error", self.on_stream_error)
        self.add_event_handler("disconnected", self.on_disconnected)

    def mechanism(self):
        mech = self["feature_mechanisms"].mech
        return {
            "mechanism": mech.name,
            "gs2": getattr(mech, "gs2_header", b"").decode(),
        }

    def on_failed(self, failure):
        report("failed", condition=failure["condition"], **self.mechanism())

    def on_session(self, _):
        tls = self.transport.get_extra_info("ssl_object")
        report(
            "session",
            jid=str(self.boundjid),
            tls=tls.version() if tls else "",
            **self.mechanism(),
        )

    def on_message(self, message):
        sender, kind = str(message["from"]), message["type"]
        report("message", **{"from": sender, "type": kind, "body": message["body"]})

    def on_stream_error(self, error):
        report("stream_error", condition=error["condition"])

    def on_disconnected(self, _):
        report("disconnected")
        self.over.set()

    async def obey(self, lines):
        while line := await lines.readline():
            command = json.loads(line)
            self.send_message(mto=command["to"], mbody=command["body"], mtype="chat")
        self.disconnect()


async def main(client=Peer):
    args = argparse.ArgumentParser()
    args.add_argument("--jid", required=True)
    args.add_argument("--host", required=True)
    args.add_argument("--port", required=True, type=int)
    args.add_argument("--ca", required=True)
    args.add_argument("--certificate", help="a directory with cert.pem and key.pem")
    args.add_argument("--tls", required=True, choices=VERSIONS)
    args = args.parse_args()

    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    report(
        "hello",
        version=slixmpp.__version__,
        python=platform.python_version(),
        bindings=ssl.CHANNEL_BINDING_TYPES,
        # Older versions take the same channel binding whatever the version
        # of TLS is.
        knows_tls13="tls_version" in SCRAM.security,
    )
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(lines), sys.stdin
    )
    password = (await lines.readline()).decode().rstrip("\n")
    peer = client(args.jid, password, args.ca, args.certificate, VERSIONS[args.tls])
    if slixmpp.__version_info__ < (1, 9, 0):
        peer.connect((args.host, args.port))
    else:
        peer.connect(args.host, args.port)
    obey = asyncio.create_task(peer.obey(lines))
    await peer.over.wait()
    obey.cancel()


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(), timeout=60))
