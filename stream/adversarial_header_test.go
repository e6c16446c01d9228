package stream_test

import (
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// RFC 6120 §4.7.5.
//
//conformance:proves 6120-4.7.5-1 6120-4.7.5-2 6120-4.7.5-4 6120-4.7.5-6 6120-4.7.5-7 6120-4.7.5-8 6120-4.7.5-9
func adversarialT11(t *testing.T) {
	for _, c := range []struct {
		version string
		ok      bool
	}{
		{"", false}, {"0.9", false}, {"1.0", true}, {"1.1", true}, {"1.9", true}, {"1.10", true}, {"2.0", true}, {"01.00", true},
		{"1", false}, {"one", false}, {"1.", false}, {".0", false}, {"-1.0", false}, {"1.0.0", false}, {"1,0", false}, {" 1.0", false},
		{"0.10", false}, {"99999999999999999999.0", false},
	} {
		header := func(h string) string {
			if c.version == "" {
				return strings.Replace(h, " version='1.0'", "", 1)
			}
			return strings.Replace(h, "version='1.0'", "version='"+c.version+"'", 1)
		}
		t.Run("server/"+c.version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := acceptRaw(&stream.AcceptOptions{Profile: bare})
				p.say(t, header(clientHeader))
				synctest.Wait()
				if c.ok {
					// The answer is never more than what we speak.
					require.Contains(t, p.heard(), " version='1.0'")
					require.Contains(t, p.heard(), "<stream:features>")
					p.say(t, "</stream:stream>")
					require.NoError(t, <-errs)
				} else {
					require.ErrorIs(t, <-errs, stream.UnsupportedVersion)
				}
				p.Close()
				if wire := p.all(t); !c.ok {
					wantErrorWithText(t, wire, stream.UnsupportedVersion)
				}
			})
		})
		t.Run("client/"+c.version, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, errs := initiateRaw(t.Context(), &stream.InitiateOptions{Profile: bare})
				p.say(t, header(serverHeader)+"<stream:features/></stream:stream>")
				if c.ok {
					require.NoError(t, <-errs)
				} else {
					require.ErrorIs(t, <-errs, stream.UnsupportedVersion)
				}
				p.Close()
				p.all(t)
			})
		})
	}
	// 1.9 is less than 1.10.
	require.True(t, stream.Version{Major: 1, Minor: 9}.Less(stream.Version{Major: 1, Minor: 10}))
	require.True(t, stream.Version{Major: 2, Minor: 4}.Less(stream.Version{Major: 2, Minor: 13}))
	require.True(t, stream.Version{Major: 2, Minor: 13}.Less(stream.Version{Major: 12, Minor: 3}))
}

// RFC 6120 §4.7.3.
//
//conformance:proves 6120-4.7.3-1 6120-4.7.3-2 6120-4.7.3-4
func adversarialT12(t *testing.T) {
	n := 20_000
	if full() {
		n = 1_000_000
	}
	seen := make(map[string]bool, n)
	var counts [256]int
	for range n {
		id := stream.NewStreamID()
		require.GreaterOrEqual(t, len(id)*5, 128, "five bits a character")
		require.False(t, seen[id])
		seen[id] = true
		for i := range len(id) {
			counts[id[i]]++
		}
	}
	// Each of the 32 letters about as often as the others.
	letters := 0
	for _, k := range counts {
		if k > 0 {
			letters++
			require.InEpsilon(t, float64(n*26)/32, float64(k), 0.05)
		}
	}
	require.Equal(t, 32, letters)

	synctest.Test(t, func(t *testing.T) {
		p, errs := acceptRaw(&stream.AcceptOptions{Profile: bare})
		p.say(t, strings.Replace(clientHeader, "version", "id='chosen' version", 1)+"</stream:stream>")
		require.NoError(t, <-errs)
		p.Close()
		require.NotContains(t, p.all(t), "chosen")
	})
}
