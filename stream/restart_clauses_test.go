package stream_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// ownHeader is all that a header of ours may be. RFC 6120 §4.8.5: it declares the
// two namespaces of the stream and none of what is in stanzas; §4.7.5: its version
// has no leading zeros.
const ownHeader = `<\?xml version='1\.0'\?><stream:stream xmlns='jabber:client' xmlns:stream='http://etherx\.jabber\.org/streams'` +
	`( from='[^']*')?( to='[^']*')?( id='[^']*')? version='1\.0' xml:lang='en'>`

// RFC 6120 §4.3.3: what goes over the wire at a restart, and that the stream before
// it is gone.
//
//conformance:proves 6120-4.3.3-1 6120-4.3.3-2 6120-4.3.3-3 6120-4.3.3-4 6120-4.7.5-3 6120-4.8.2-1 6120-4.8.5-9 6120-8.4-4
func TestWireOfARestart(t *testing.T) {
	//conformance:proves 6120-4.3.3-5 6120-4.8.3-3
	t.Run("client", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: loginGoal, Features: testFeatures()})
			p.say(t, serverHeader+"<stream:features>"+offerLogin+"</stream:features>"+loginOK)
			synctest.Wait()
			p.say(t, serverHeader+"<stream:features>"+offerSeat+"</stream:features><ok xmlns='urn:test'/>")
			synctest.Wait()
			require.Regexp(t, "^"+ownHeader+login+ownHeader+seat+"$", p.heard())
			// One closing tag ends all there is: the first stream needs none.
			p.say(t, "</stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			require.Equal(t, 1, strings.Count(p.all(t), "</stream:stream>"))
		})
	})
	//conformance:proves 6120-4.3.3-6 6120-4.3.3-7 6120-4.3.4-1 6120-4.3.5-1
	t.Run("server", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: testFeatures()})
			p.say(t, clientHeader+login)
			synctest.Wait()
			p.say(t, clientHeader+seat)
			synctest.Wait()
			// §4.3.5: and nothing, no features either, once it is complete.
			p.say(t, "<message to='im.example'/>")
			synctest.Wait()
			wire := p.heard()
			require.Regexp(t, "^"+ownHeader+"<stream:features>"+offerLogin+"</stream:features>"+loginOK+
				ownHeader+"<stream:features>"+offerSeat+"</stream:features><ok xmlns='urn:test'/>$", wire)
			_, first, _ := strings.Cut(wire, " id='")
			_, second, _ := strings.Cut(first, " id='")
			first, _, _ = strings.Cut(first, "'")
			second, _, _ = strings.Cut(second, "'")
			require.NotEmpty(t, second)
			require.NotEqual(t, first, second, "§4.3.3: a new stream ID")
			p.say(t, "</stream:stream>")
			require.NoError(t, <-errs)
			p.Close()
			require.Equal(t, 1, strings.Count(p.all(t), "</stream:stream>"))
		})
	})
}

// RFC 6120 §4.8.5: what a header declares holds on its stream, and not on the one
// that a restart begins.
//
//conformance:proves 6120-4.3.3-1 6120-4.8.5-8
func TestNamespacesOfTheStreamBeforeARestart(t *testing.T) {
	declaring := strings.Replace(clientHeader, " to=", " xmlns:x='urn:test' to=", 1)
	for name, c := range map[string]struct {
		first, second string
		known         bool
	}{
		"declared before the restart only": {declaring, clientHeader, false},
		"declared anew":                    {clientHeader, declaring, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: loginGoal, Features: testFeatures()})
				p.say(t, c.first+login)
				synctest.Wait()
				p.say(t, c.second+"<x:seat/></stream:stream>")
				err := <-errs
				p.Close()
				p.all(t)
				if c.known {
					require.NoError(t, err)
				} else {
					require.ErrorIs(t, err, stream.NotWellFormed)
				}
			})
		})
	}
}
