// A client on @xmpp/client that a test drives through its standard input and
// output.
//
// The first line on standard input is a JSON object with how to log in:
// {"password": text}, {"token": what a "token" event said}, or {} for somebody
// without a name. Each line after that is {"to": jid, "body": text}, a message
// to send. The end of the input ends the session.
//
// Each line on standard output is a JSON object with what happened: "hello",
// "sent" (an element of the negotiation), "token", "failed", "session",
// "message", "disconnected".

import { webcrypto } from "node:crypto";
import { createRequire } from "node:module";
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

const report = (event, facts) => console.log(JSON.stringify({ event, ...facts }));

report("hello", {
  version: createRequire(import.meta.url)("@xmpp/client/package.json").version,
  node: process.versions.node,
});

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
const { password, token } = JSON.parse((await lines.next()).value);

const xmpp = client({
  service: options.service,
  domain: options.domain,
  resource: options.resource,
  credentials: { username: options.username || undefined, password },
  userAgent: xml("user-agent", { id: options.agent }, [
    xml("software", {}, "xmpp.js"),
    xml("device", {}, "test"),
  ]),
});

xmpp.reconnect.stop();
xmpp.timeout = 10_000; // ours takes longer for a password than for most things

xmpp.fast.fetchToken = async () => token;
xmpp.fast.saveToken = async (token) => report("token", { token });
xmpp.fast.deleteToken = async () => {};

const starts = ["starttls", "auth", "authenticate"];
xmpp.on("send", (element) => {
  if (!starts.includes(element.name)) return;
  report("sent", {
    name: element.name,
    mechanism: element.attrs.mechanism,
    with: element.getChildElements().map((child) => child.name),
  });
});
xmpp.on("error", (error) => {
  report("failed", { condition: error.condition, text: String(error) });
});
xmpp.on("online", (address) => {
  report("session", { jid: String(address), tls: xmpp.socket.socket.getProtocol() });
});
xmpp.on("stanza", (stanza) => {
  if (!stanza.is("message")) return;
  report("message", {
    from: stanza.attrs.from,
    type: stanza.attrs.type,
    body: stanza.getChildText("body"),
  });
});
xmpp.on("disconnect", () => report("disconnected"));

try {
  await xmpp.start();
  for await (const line of lines) {
    const { to, body } = JSON.parse(line);
    await xmpp.send(xml("message", { to, type: "chat" }, xml("body", {}, body)));
  }
} catch (error) {
  report("failed", { condition: error.condition, text: String(error) });
}
await xmpp.stop().catch(() => {});
process.exit();
