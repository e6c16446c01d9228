// Package interop runs other XMPP software as child processes, for tests that hold this library
// against it: Prosody and ejabberd as servers for our client; slixmpp, @xmpp/client, tokio-xmpp and
// profanity as clients for our server. README.md has the tables of what was found.
//
// Everything stays on loopback, in temporary directories of the test, with configurations and
// certificates made for the occasion. A peer that is not installed skips its tests with the reason;
// with STANZAKIT_INTEROP=required in the environment, as in CI, it fails them.
//
// Nothing outside of tests imports this package, and it imports nothing of ours.
package interop
