module stanzakit.dev/xmpp/examples/server

go 1.26.6

require (
	stanzakit.dev/xmpp v0.0.0
	stanzakit.dev/xmpp/adapters/bolt v0.0.0
)

require (
	go.etcd.io/bbolt v1.5.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace (
	stanzakit.dev/xmpp => ../..
	stanzakit.dev/xmpp/adapters/bolt => ../../adapters/bolt
)
