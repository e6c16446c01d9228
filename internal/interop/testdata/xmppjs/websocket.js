// A client on @xmpp/client that connects by WebSocket, driven like peer.js.
//
// Each line on standard output is a JSON object with what happened: "hello",
// "failed", "session", "message", "disconnected".

import { webcrypto } from "node:crypto";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { client, xml } from "@xmpp/client";

globalThis.crypto ??= webcrypto; // Node 18, which @xmpp/client does not promise to work with
globalThis.WebSocket ??= (await import("ws")).WebSocket; // before Node 22

const text = { type: "string" };
const { values: options } = parseArgs({
  options: { service: text, domain: text, username: text, resource: text, agent: text },
});

const report = (event, facts) => console.log(JSON.stringify({ event, ...facts }));
report("hello", { node: process.versions.node });

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { password } = JSON.parse((await lines.next()).value);

const xmpp = client({
  service: options.service,
  domain: options.domain,
  resource: options.resource,
  username: options.username,
  password,
});
xmpp.reconnect.stop();
xmpp.timeout = 10_000; // ours takes longer for a password than for most things

const failed = (error) => report("failed", { condition: error.condition, text: String(error) });
xmpp.on("error", failed);
xmpp.on("online", (address) => report("session", { jid: String(address) }));
xmpp.on("stanza", (stanza) => {
  if (!stanza.is("message")) return;
  const { from, type } = stanza.attrs;
  report("message", { from, type, body: stanza.getChildText("body") });
});
xmpp.on("disconnect", () => report("disconnected"));

try {
  await xmpp.start();
  for await (const line of lines) {
    const { to, body } = JSON.parse(line);
    await xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body)));
  }
} catch (error) {
  failed(error);
}
await xmpp.stop().catch(() => {});
process.exit();
