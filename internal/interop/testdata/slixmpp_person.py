"""A client on slixmpp for somebody who talks with others; a test drives it.

It logs in as slixmpp_peer.py does. The lines on standard input after the
password are commands, {"do": verb, ...}, and each is answered with an event,
"did" or "refused". See person.go for the commands and events.
"""

import asyncio
import hashlib
import json
import os
from xml.etree import ElementTree

from slixmpp.exceptions import IqError, IqTimeout

import slixmpp_peer
from slixmpp_peer import report

PLUGINS = [
    "xep_0012", "xep_0030", "xep_0049", "xep_0050", "xep_0054", "xep_0059",
    "xep_0077", "xep_0085", "xep_0092", "xep_0115", "xep_0191", "xep_0199",
    "xep_0202", "xep_0203", "xep_0280", "xep_0297", "xep_0313", "xep_0352",
]  # fmt: skip


KINDS = ["available", "unavailable", "subscribe", "subscribed", "unsubscribe", "unsubscribed", "error"]  # fmt: skip
SHOWS = ["away", "chat", "dnd", "xa"]  # events of their own in slixmpp


def stanza(message):
    return {
        "from": str(message["from"]),
        "to": str(message["to"]),
        "type": message["type"],
        "body": message["body"],
        "stamp": message["delay"]["stamp"].isoformat()
        if message.get_plugin("delay", check=True)
        else "",
    }


class Person(slixmpp_peer.Peer):
    def __init__(self, *args):
        super().__init__(*args)
        for plugin in PLUGINS:
            self.register_plugin(plugin)
        if "INTEROP_REGISTER" in os.environ:
            self.add_event_handler("register", self.on_register)
        # The test decides who may see what.
        self.auto_authorize = None
        self.auto_subscribe = False
        self.add_event_handler("roster_update", self.on_roster)
        for kind in KINDS + SHOWS:
            self.add_event_handler("presence_" + kind, self.on_presence)
        self.add_event_handler("carbon_received", lambda m: self.on_carbon(m, "received"))
        self.add_event_handler("carbon_sent", lambda m: self.on_carbon(m, "sent"))
        self.add_event_handler("blocked", lambda iq: report("blocked", jids=blocked(iq)))
        self.add_event_handler("unblocked", lambda iq: report("unblocked", jids=blocked(iq)))

    def on_message(self, message):
        for direction in ("carbon_received", "carbon_sent"):
            if message.get_plugin(direction, check=True):
                return  # reported as such
        if message.get_plugin("mam_result", check=True):
            return
        report("message", **stanza(message))

    def on_carbon(self, message, direction):
        report("carbon", direction=direction, **stanza(message["carbon_" + direction]))

    def on_roster(self, iq):
        if iq["type"] == "set":
            report("roster", items=contacts(iq))

    def on_presence(self, presence):
        report(
            "presence",
            **{"from": str(presence["from"])},
            type="available" if presence["type"] in SHOWS else presence["type"],
            show=presence["show"],
            status=presence["status"],
        )

    async def obey(self, lines):
        while line := await lines.readline():
            command = json.loads(line)
            do = command.pop("do")
            try:
                facts = await getattr(self, "do_" + do)(**command)
                report("did", do=do, **(facts or {}))
            except IqError as error:
                report("refused", do=do, condition=error.condition)
            except IqTimeout:
                report("refused", do=do, condition="timeout")
            except Exception as error:  # of slixmpp, when it reads an answer
                report("refused", do=do, condition=repr(error))
        self.disconnect()

    async def do_roster(self):
        # The answer is empty if slixmpp has the latest version already.
        await self.get_roster()
        known = self.client_roster
        items = [
            {
                "jid": jid,
                "name": known[jid]["name"],
                "subscription": known[jid]["subscription"],
                "groups": sorted(known[jid]["groups"]),
            }
            for jid in known.keys()
            if jid != self.boundjid.bare
        ]
        return {"items": items}

    async def do_add(self, jid, name="", groups=()):
        await self.update_roster(jid, name=name, groups=list(groups))

    async def do_remove(self, jid):
        await self.update_roster(jid, subscription="remove")

    async def do_presence(self, jid=None, type=None, show=None, status=None):
        self.send_presence(pto=jid, ptype=type, pshow=show, pstatus=status)

    async def do_say(self, jid, body):
        self.send_message(mto=jid, mbody=body, mtype="chat")

    async def do_carbons(self):
        await self.plugin["xep_0280"].enable()

    async def do_archive(self, jid=None):
        found = []
        async for message in self.plugin["xep_0313"].iterate(with_jid=jid, rsm={"max": 2}):
            forwarded = message["mam_result"]["forwarded"]
            facts = stanza(forwarded["stanza"])
            facts["stamp"] = forwarded["delay"]["stamp"].isoformat()
            found.append(facts)
        return {"messages": found}

    async def do_block(self, jid):
        await self.plugin["xep_0191"].block(jid)

    async def do_unblock(self, jid):
        await self.plugin["xep_0191"].unblock(jid)

    async def do_blocked(self):
        iq = await self.plugin["xep_0191"].get_blocked()
        return {"jids": blocked(iq)}

    async def do_about(self, jid):
        """Asks the server all that can be asked, and about the contact jid."""
        server, facts = self.boundjid.domain, {}
        info = (await self.plugin["xep_0030"].get_info(jid=server))["disco_info"]
        facts["identity"] = "/".join(sorted(c + "/" + t for c, t, *_ in info["identities"]))
        facts["features"] = " ".join(sorted(info["features"]))
        items = (await self.plugin["xep_0030"].get_items(jid=server))["disco_items"]
        facts["items"] = str(len(items["items"]))
        own = (await self.plugin["xep_0030"].get_info(jid=self.boundjid.bare))["disco_info"]
        facts["account"] = "/".join(sorted(c + "/" + t for c, t, *_ in own["identities"]))
        # XEP-0115: its hash of what the server says, and that of the server.
        if caps := getattr(self, "caps_seen", None):
            facts["caps"] = caps
            facts["verified"] = self.plugin["xep_0115"].generate_verstring(info, "sha-1")
        facts["ping"] = str(await self.plugin["xep_0199"].send_ping(server) is not None)
        version = (await self.plugin["xep_0092"].get_version(server))["software_version"]
        facts["version"] = version["name"] + " " + version["version"]
        clock = (await self.plugin["xep_0202"].get_entity_time(server))["entity_time"]
        facts["time"] = clock.xml.findtext("{urn:xmpp:time}utc")
        last = await self.plugin["xep_0012"].get_last_activity(jid=server)
        facts["uptime"] = str(last["last_activity"]["seconds"])
        gone = await self.plugin["xep_0012"].get_last_activity(jid=jid)
        facts["gone"] = str(gone["last_activity"]["seconds"])
        facts["farewell"] = gone["last_activity"]["status"]

        card = self.plugin["xep_0054"].make_vcard()
        card["FN"] = "Juliet <C> & \u2764"
        card["NICKNAME"] = "Jule"
        photo = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
        card["PHOTO"]["TYPE"] = "image/png"
        card["PHOTO"]["BINVAL"] = photo
        await self.plugin["xep_0054"].publish_vcard(card)
        read = (await self.plugin["xep_0054"].get_vcard(self.boundjid.bare, local=False, cached=False))["vcard_temp"]
        facts["vcard"] = read["FN"]
        facts["photo"] = str(hashlib.sha1(read["PHOTO"]["BINVAL"]).digest() == hashlib.sha1(photo).digest())

        iq = self.make_iq_set()
        query = ElementTree.SubElement(iq.xml, "{jabber:iq:private}query")
        note = ElementTree.SubElement(query, "{storage:rosternotes}storage")
        ElementTree.SubElement(note, "{storage:rosternotes}note", jid=jid).text = "a <note>"
        await iq.send()
        iq = self.make_iq_get()
        query = ElementTree.SubElement(iq.xml, "{jabber:iq:private}query")
        ElementTree.SubElement(query, "{storage:rosternotes}storage")
        answer = await iq.send()
        facts["private"] = "".join(answer.xml.itertext())

        await self.plugin["xep_0077"].change_password(self.password, jid=server)
        return {"facts": facts}

    async def do_adduser(self, jid, body):
        """Executes the command by which an administrator adds an account."""
        server, node = self.boundjid.domain, "http://jabber.org/protocol/admin#add-user"
        commands = self.plugin["xep_0050"]
        items = (await commands.get_commands(jid=server, local=False))["disco_items"]["items"]
        stage = (await commands.send_command(server, node))["command"]
        form = self.plugin["xep_0004"].make_form(ftype="submit")
        values = {"accountjid": jid, "password": body, "password-verify": body}
        for field in stage["form"].xml.iter("{jabber:x:data}field"):
            name, kind = field.get("var"), field.get("type")
            if kind == "hidden":
                values[name] = field.findtext("{jabber:x:data}value")
            if name in values:
                form.add_field(var=name, ftype=kind, value=values[name])
        done = await commands.send_command(
            server, node, action="complete", payload=form, sessionid=stage["sessionid"]
        )
        nodes = " ".join(sorted(item[1] for item in items))
        return {"facts": {"commands": nodes, "status": done["command"]["status"]}}

    async def on_register(self, _):
        """Makes an account before it logs in, if the test wants that."""
        iq = self.make_iq_set()
        iq["register"]["username"] = self.boundjid.user
        iq["register"]["password"] = self.password
        try:
            await iq.send()
            report("did", do="register")
        except IqError as error:
            report("refused", do="register", condition=error.condition)
            self.disconnect()

    async def _handle_stream_features(self, features):
        caps = features.xml.find("{http://jabber.org/protocol/caps}c")
        if caps is not None:
            self.caps_seen = caps.get("ver")
        return await super()._handle_stream_features(features)


def blocked(iq):
    # What slixmpp makes of them differs between its versions.
    return [item.get("jid") for item in iq.xml.iter("{urn:xmpp:blocking}item")]


def contacts(iq):
    return [
        {
            "jid": str(jid),
            "name": item["name"],
            "subscription": item["subscription"],
            "groups": sorted(item["groups"]),
        }
        for jid, item in iq["roster"]["items"].items()
    ]


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(slixmpp_peer.main(Person), timeout=60))
