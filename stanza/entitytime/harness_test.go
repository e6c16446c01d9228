package entitytime_test

import "stanzakit.dev/xmpp/internal/topictest"

// The names under which the tests of this package use what small topics share.
type peer = topictest.Peer

const unavailable = topictest.Unavailable

var (
	juliet   = topictest.Juliet
	refused  = topictest.Refused
	parse    = topictest.Parse
	ask      = topictest.Ask
	loopback = topictest.Loopback
)
