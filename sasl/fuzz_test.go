package sasl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzScramClient plays a server that says anything. The client never panics, and is never
// satisfied without the one right signature.
func FuzzScramClient(f *testing.F) {
	const nonce = "abc"
	first := "r=abcd,s=" + b64(testSalt) + ",i=4096"
	for _, h := range hashes {
		auth := "n=user,r=abc," + first + ",c=biws,r=abcd"
		_, v := refProof(h, refDerive(h, testPassword, []byte(testSalt), 4096), auth)
		f.Add(first, "v="+v, string(h))
		f.Add(first+",x=y", "v="+v+",x=y", string(h))
	}
	for _, s := range []string{"", "e=other-error", "m=x,r=abcd,s=AAAA,i=4096", "r=abcd,s=AA\nAA,i=4096", "r=abcd,s=,i=04096", "r=abc,s=AAAA,i=4096", "r=abcd,s=AAAA,i=99999999999999999999"} {
		f.Add(s, "v=", string(SHA1))
	}
	f.Fuzz(func(t *testing.T, serverFirst, serverFinal, hash string) {
		h := Hash(hash)
		// The ceiling keeps the fuzzer fast; what lies above is refused before any work.
		c, err := Scram(h).NewClient(&ClientConfig{Username: testUser, Password: testPassword, MaxIterations: 4200, nonce: nonce})
		if !h.Available() {
			require.ErrorIs(t, err, InvalidMechanism)
			return
		}
		require.NoError(t, err)
		send(t, c, nil)
		out, done, err := c.Next(t.Context(), []byte(serverFirst))
		require.False(t, done)
		if err != nil {
			require.Less(t, len(err.Error()), 2000)
			fail(t, c, serverFinal, ErrFinished)
			return
		}
		_, done, err = c.Next(t.Context(), []byte(serverFinal))
		require.Equal(t, err == nil, done)
		if done {
			m, perr := parseServerFirst(serverFirst)
			require.NoError(t, perr)
			final := string(out)
			auth := "n=user,r=abc," + serverFirst + "," + final[:strings.LastIndex(final, ",p=")]
			_, v := refProof(h, refDerive(h, testPassword, m.salt, m.iterations), auth)
			got, _, _ := strings.Cut(serverFinal, ",")
			require.Equal(t, "v="+v, got)
		}
	})
}

// FuzzScramServer plays a client that says anything. The server never panics, and lets nobody in
// without the one right proof.
func FuzzScramServer(f *testing.F) {
	const nonce = "server-nonce"
	for _, h := range hashes {
		for first, c := range map[string]string{
			"n,,n=user,r=abc": "biws", "y,,n=user,r=abc": "eSws", "n,a=user,n=user,r=abc,x=y": b64("n,a=user,"),
			"p=tls-exporter,,n=user,r=abc": b64("p=tls-exporter,," + string(testBinding.Data)),
		} {
			challenge := "r=abc" + nonce + ",s=" + b64(testSalt) + ",i=4096"
			final := sign(h, first, challenge, "c="+c+",r=abc"+nonce)
			f.Add(first, final, string(h), true)
			f.Add(first, final, string(h), false)
		}
	}
	f.Add("n,,n=nobody,r=x", "c=biws,r=x,p=AAAA", "SHA-1", false)
	f.Add("n,,m=x,n=user,r=x", "m=x", "SHA-1", false)
	f.Add("n,,n=us=2Cer,r=x", "c=biws,c=biws", "SHA-256", false)
	f.Add("", "", "SHA-512", true)
	f.Fuzz(func(t *testing.T, first, final, hash string, plus bool) {
		h := Hash(hash)
		if !h.Available() {
			return
		}
		cfg := serverConfig()
		cfg.nonce, cfg.Offered = nonce, []string{}
		s := newServer(t, scram(h, plus), cfg)
		challenge, done, err := s.Next(t.Context(), []byte(first))
		require.False(t, done)
		if err != nil {
			require.Nil(t, challenge)
			require.Less(t, len(err.Error()), 2000)
			fail(t, s, final, ErrFinished)
			return
		}
		_, done, err = s.Next(t.Context(), []byte(final))
		require.Equal(t, err == nil, done)
		if !done {
			require.Zero(t, s.Identity())
			return
		}
		require.Equal(t, testUser, s.Identity().AuthcID)
		require.Contains(t, []string{"", testUser}, s.Identity().AuthzID)
		require.Equal(t, plus, strings.HasPrefix(first, "p=tls-"))
		require.Equal(t, sign(h, first, string(challenge), final[:strings.LastIndex(final, ",p=")]), final)
	})
}

// FuzzPlainServer: nobody gets in with anything but the name and the password.
func FuzzPlainServer(f *testing.F) {
	for _, s := range []string{"\x00user\x00pencil", "user\x00user\x00pencil", "\x00user\x00penci", "\x00\x00", "", "\x00u\x00p\x00", "x\x00user\x00pencil", "\xff\x00user\x00pencil"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		s := newServer(t, Plain(), serverConfig())
		out, done, err := s.Next(t.Context(), msg)
		if msg == nil {
			msg = []byte{}
		}
		require.False(t, done && err != nil)
		if !done {
			require.Zero(t, s.Identity())
			return
		}
		require.Nil(t, out)
		require.Contains(t, []string{"\x00user\x00pencil", "user\x00user\x00pencil"}, string(msg))
	})
}

// FuzzKeysText: what UnmarshalText accepts is what MarshalText writes.
func FuzzKeysText(f *testing.F) {
	for _, h := range hashes {
		text, err := testStore.keys[h].MarshalText()
		require.NoError(f, err)
		f.Add(text)
	}
	f.Add([]byte("SCRAM-SHA-1$4096:AAAA$AAAA:AAAA"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var k Keys
		if k.UnmarshalText(text) != nil {
			require.Zero(t, k)
			return
		}
		again, err := k.MarshalText()
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
	})
}
