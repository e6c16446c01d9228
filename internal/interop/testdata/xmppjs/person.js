// A client on @xmpp/client for somebody who talks with others; a test drives it.
//
// It logs in as peer.js does. The lines on standard input after the first are
// commands, {"do": verb, ...}, and each is answered with an event, "did" or
// "refused". See person.go for the commands and events.
//
// @xmpp/client knows streams, stanzas and requests. What is said in them is said
// here.

import { webcrypto } from "node:crypto";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { client, xml } from "@xmpp/client";

globalThis.crypto ??= webcrypto; // Node 18, which @xmpp/client does not promise to work with

const { values: options } = parseArgs({
  options: {
    service: { type: "string" },
    domain: { type: "string" },
    username: { type: "string" },
    resource: { type: "string" },
    agent: { type: "string" },
  },
});

const NS = {
  blocking: "urn:xmpp:blocking",
  carbons: "urn:xmpp:carbons:2",
  delay: "urn:xmpp:delay",
  forward: "urn:xmpp:forward:0",
  form: "jabber:x:data",
  mam: "urn:xmpp:mam:2",
  roster: "jabber:iq:roster",
  rsm: "http://jabber.org/protocol/rsm",
};

const report = (event, facts) => console.log(JSON.stringify({ event, ...facts }));

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { password } = JSON.parse((await lines.next()).value);

const xmpp = client({
  service: options.service,
  domain: options.domain,
  resource: options.resource,
  credentials: { username: options.username, password },
  userAgent: xml("user-agent", { id: options.agent }),
});
xmpp.reconnect.stop();
xmpp.timeout = 10_000; // ours takes longer for a password than for most things

const contacts = (query) =>
  query.getChildren("item").map((item) => ({
    jid: item.attrs.jid,
    name: item.attrs.name ?? "",
    subscription: item.attrs.subscription,
    groups: item.getChildren("group").map((group) => group.text()).sort(),
  }));

const addresses = (list) => list.getChildren("item").map((item) => item.attrs.jid);

const facts = (message) => ({
  from: message.attrs.from,
  to: message.attrs.to,
  type: message.attrs.type,
  body: message.getChildText("body") ?? "",
  stamp: message.getChild("delay", NS.delay)?.attrs.stamp ?? "",
});

const archived = new Map(); // results, by the id of the query

function onMessage(message) {
  // XEP-0280 §11, XEP-0313 §4.2: both come from the own account.
  const own = message.attrs.from === String(xmpp.jid.bare());
  const result = message.getChild("result", NS.mam);
  if (result && own) {
    const forwarded = result.getChild("forwarded", NS.forward);
    archived.get(result.attrs.queryid).push({
      ...facts(forwarded.getChild("message")),
      stamp: forwarded.getChild("delay", NS.delay).attrs.stamp,
    });
    return;
  }
  for (const direction of ["received", "sent"]) {
    const copy = message.getChild(direction, NS.carbons);
    if (copy && own) {
      report("carbon", { direction, ...facts(copy.getChild("forwarded", NS.forward).getChild("message")) });
      return;
    }
  }
  report("message", facts(message));
}

xmpp.on("stanza", (stanza) => {
  if (stanza.is("message")) onMessage(stanza);
  if (!stanza.is("presence")) return;
  report("presence", {
    from: stanza.attrs.from,
    type: stanza.attrs.type ?? "available",
    show: stanza.getChildText("show") ?? "",
    status: stanza.getChildText("status") ?? "",
  });
});

xmpp.iqCallee.set(NS.roster, "query", ({ element }) => {
  report("roster", { items: contacts(element) });
  return true;
});
for (const name of ["block", "unblock"]) {
  xmpp.iqCallee.set(NS.blocking, name, ({ element }) => {
    report(name + "ed", { jids: addresses(element) });
    return true;
  });
}

const field = (name, value, attrs) => xml("field", { var: name, ...attrs }, xml("value", {}, value));

const commands = {
  async roster() {
    const query = await xmpp.iqCaller.get(xml("query", NS.roster));
    return { items: contacts(query) };
  },
  async add({ jid, name, groups = [] }) {
    await xmpp.iqCaller.set(
      xml("query", NS.roster, xml("item", { jid, name }, groups.map((group) => xml("group", {}, group)))),
    );
  },
  async remove({ jid }) {
    await xmpp.iqCaller.set(xml("query", NS.roster, xml("item", { jid, subscription: "remove" })));
  },
  async presence({ jid, type, show, status }) {
    await xmpp.send(
      xml("presence", { to: jid, type }, show && xml("show", {}, show), status && xml("status", {}, status)),
    );
  },
  async say({ jid, body }) {
    await xmpp.send(xml("message", { to: jid, type: "chat" }, xml("body", {}, body)));
  },
  async carbons() {
    await xmpp.iqCaller.set(xml("enable", NS.carbons));
  },
  async archive({ jid }) {
    const found = [];
    for (let after; ; ) {
      const queryid = crypto.randomUUID();
      archived.set(queryid, []);
      const query = xml(
        "query",
        { xmlns: NS.mam, queryid },
        xml("x", { xmlns: NS.form, type: "submit" }, field("FORM_TYPE", NS.mam, { type: "hidden" }), field("with", jid)),
        xml("set", NS.rsm, xml("max", {}, "2"), after && xml("after", {}, after)),
      );
      const answer = await xmpp.iqCaller.request(xml("iq", { type: "set" }, query));
      const fin = answer.getChild("fin", NS.mam);
      found.push(...archived.get(queryid));
      if (fin.attrs.complete === "true") return { messages: found };
      after = fin.getChild("set", NS.rsm).getChildText("last");
    }
  },
  async block({ jid }) {
    await xmpp.iqCaller.set(xml("block", NS.blocking, xml("item", { jid })));
  },
  async unblock({ jid }) {
    await xmpp.iqCaller.set(xml("unblock", NS.blocking, xml("item", { jid })));
  },
  async blocked() {
    return { jids: addresses(await xmpp.iqCaller.get(xml("blocklist", NS.blocking))) };
  },
};

xmpp.on("error", (error) => report("failed", { condition: error.condition }));
xmpp.on("online", (address) => report("session", { jid: String(address) }));
xmpp.on("disconnect", () => report("disconnected"));

try {
  await xmpp.start();
  for await (const line of lines) {
    const { do: verb, ...args } = JSON.parse(line);
    try {
      report("did", { do: verb, ...(await commands[verb](args)) });
    } catch (error) {
      report("refused", { do: verb, condition: error.condition ?? String(error) });
    }
  }
} catch (error) {
  report("failed", { condition: error.condition ?? String(error) });
}
await xmpp.stop().catch(() => {});
process.exit();
