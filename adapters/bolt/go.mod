module stanzakit.dev/xmpp/adapters/bolt

go 1.26.6

require (
	github.com/stretchr/testify v1.12.1
	go.etcd.io/bbolt v1.5.0
	stanzakit.dev/xmpp v0.0.0
)

replace stanzakit.dev/xmpp => ../..
