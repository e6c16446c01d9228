module stanzakit.dev/xmpp/examples/server

go 1.26.6

require (
	github.com/stretchr/testify v1.12.1
	stanzakit.dev/xmpp v0.0.0
	stanzakit.dev/xmpp/adapters/bolt v0.0.0
	stanzakit.dev/xmpp/adapters/websocket v0.0.0
)

require (
	github.com/coder/websocket v1.8.15 // indirect
	go.etcd.io/bbolt v1.5.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	golang.org/x/text v0.43.0 // indirect
)

replace (
	stanzakit.dev/xmpp => ../..
	stanzakit.dev/xmpp/adapters/bolt => ../../adapters/bolt
	stanzakit.dev/xmpp/adapters/websocket => ../../adapters/websocket
)
