package stream_test

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// RFC 6120 §4.6.1 lets white space stand between elements, and some clients end
// each of theirs with a line end. It is no part of the stream that follows.
func TestWhiteSpaceBeforeARestart(t *testing.T) {
	const declaration = `<?xml version='1.0'?>`
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: testFeatures()})
			p.say(t, declaration+clientHeader+login+"\r\n"+declaration+clientHeader+seat+"</stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			p.all(t)
		})
	})
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: loginGoal, Features: testFeatures()})
			p.say(t, declaration+serverHeader+"<stream:features>"+offerLogin+"</stream:features>"+
				loginOK+" \n"+declaration+serverHeader+"<stream:features>"+offerSeat+"</stream:features><ok xmlns='urn:test'/></stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			p.all(t)
		})
	})
}
