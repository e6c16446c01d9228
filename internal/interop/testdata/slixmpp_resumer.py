"""A client on slixmpp whose connection a test breaks. It logs in as
slixmpp_peer.py does, and connects again whenever it has lost the connection.

The lines on standard input after the password are messages to send,
{"to": jid, "id": id, "body": text}, or presence, {"to": jid}. They wait while there is no session. See
resumer.go for the events.
"""

import asyncio
import json

import slixmpp_peer
from slixmpp_peer import report


class Resumer(slixmpp_peer.Peer):
    def __init__(self, *args):
        super().__init__(*args)
        self.register_plugin("xep_0198")
        self["xep_0198"].window = 1
        self["xep_0198"].window_counter = 1
        self.leaving = False
        self.acked = set()
        self.up = asyncio.Event()
        self.add_event_handler("sm_enabled", lambda _: report("managed"))
        self.add_event_handler("sm_failed", self.on_sm_failed)
        self.add_event_handler("session_resumed", self.on_resumed)
        self.add_event_handler("stanza_acked", self.on_acked)

    def connect(self, *place):
        if place:
            self.place = place
        return super().connect(*place)

    def on_session(self, _):
        self.send_presence()
        report("session", jid=str(self.boundjid))
        self.up.set()

    def on_resumed(self, _):
        report("resumed", jid=str(self.boundjid))
        self.up.set()

    def on_sm_failed(self, failed):
        report("refused", condition=failed["condition"])

    def on_acked(self, stanza):
        if stanza.name == "message":
            self.acked.add(stanza["id"])
            report("acked", id=stanza["id"])

    def on_message(self, message):
        sender = str(message["from"])
        report("message", **{"from": sender, "id": message["id"], "body": message["body"]})

    def on_disconnected(self, _):
        self.up.clear()
        if self.leaving:
            report("disconnected")
            self.over.set()
            return
        report("lost")
        self.connect(*self.place)

    async def say(self, message):
        # What waits in slixmpp's own queue when the connection is lost is dropped
        # before stream management gets to know of it.
        managed = self["xep_0198"].unacked_queue
        while True:
            await self.up.wait()
            message.send()
            await self.waiting_queue.join()
            if any(stanza is message for _, stanza in managed) or message["id"] in self.acked:
                return
            await asyncio.sleep(0)

    async def obey(self, lines):
        while line := await lines.readline():
            command = json.loads(line)
            await self.up.wait()
            if "body" not in command:
                self.send_presence(pto=command["to"])
                continue
            message = self.make_message(command["to"], command["body"], mtype="chat")
            message["id"] = command["id"]
            await self.say(message)
        self.leaving = True
        self.disconnect()


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(slixmpp_peer.main(Resumer), timeout=100))
