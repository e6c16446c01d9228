// A client on @xmpp/client whose connection a test breaks. It connects again
// whenever it has lost the connection, which is what @xmpp/client does unless
// told otherwise.
//
// It logs in as peer.js does. The lines on standard input after the first are
// messages to send, {"to": jid, "id": id, "body": text}, or presence, {"to": jid}.
// They wait while there is no session. See resumer.go for the events.

import { webcrypto } from "node:crypto";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { client, xml } from "@xmpp/client";

globalThis.crypto ??= webcrypto; // Node 18, which @xmpp/client does not promise to work with

const text = { type: "string" };
const { values: options } = parseArgs({
  options: { service: text, domain: text, username: text, resource: text, agent: text },
});

const report = (event, facts) => console.log(JSON.stringify({ event, ...facts }));
report("hello");

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { password } = JSON.parse((await lines.next()).value);

const xmpp = client({
  service: options.service,
  domain: options.domain,
  resource: options.resource,
  credentials: { username: options.username, password },
  userAgent: xml("user-agent", { id: options.agent }),
});
xmpp.reconnect.delay = 50;
xmpp.timeout = 10_000; // ours takes longer for a password than for most things
xmpp.streamManagement.requestAckDebounce = 20;

// When a write is made while an element is handled, Node may hand out what comes
// behind it, and @xmpp/client would parse that in the middle of the parser's work.
const onData = xmpp._onData;
const waiting = [];
let parsing = false;
xmpp._onData = function (data) {
  waiting.push(data);
  if (parsing) return;
  parsing = true;
  while (waiting.length > 0) {
    const next = waiting.shift();
    if (this.parser) onData.call(this, next);
  }
  parsing = false;
};

let leaving = false;
let up, rise;
const wait = () => {
  up = new Promise((resolve) => (rise = resolve));
};
wait();

const managed = () => xmpp.streamManagement.enabled && report("managed");
xmpp.on("error", () => {}); // the connection breaks all the time
xmpp.on("online", async (address) => {
  await xmpp.send(xml("presence"));
  report("session", { jid: String(address) });
  managed();
  rise();
});
xmpp.streamManagement.on("resumed", () => {
  report("resumed", { jid: String(xmpp.jid) });
  rise();
});
xmpp.streamManagement.on("ack", (stanza) => {
  if (stanza.is("message")) report("acked", { id: stanza.attrs.id });
});
xmpp.on("nonza", (element) => {
  if (element.is("failed", "urn:xmpp:sm:3")) report("refused");
});
xmpp.on("stanza", (stanza) => {
  if (!stanza.is("message")) return;
  const { from, id } = stanza.attrs;
  report("message", { from, id, body: stanza.getChildText("body") });
});
xmpp.on("disconnect", () => {
  wait();
  report(leaving ? "disconnected" : "lost");
});

await xmpp.start().catch((error) => report("refused", { condition: String(error) }));
for await (const line of lines) {
  const { to, id, body } = JSON.parse(line);
  const stanza = body
    ? xml("message", { to, id, type: "chat" }, xml("body", {}, body))
    : xml("presence", { to });
  // What could not be written is unknown to stream management.
  for (let sent = false; !sent; ) {
    await up;
    if (xmpp.status !== "online" || !xmpp.streamManagement.enabled) {
      await sleep(5); // it is not up any more, and has not said so yet
      continue;
    }
    sent = await xmpp.send(stanza).then(() => true, () => sleep(5));
  }
}
leaving = true;
xmpp.reconnect.stop();
await xmpp.stop().catch(() => {});
process.exit();
