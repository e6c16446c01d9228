package sasl

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
)

// manyNonces is how many nonces are looked at. Short tests are to find a defect, not to measure one.
func manyNonces() int {
	if testing.Short() {
		return 4_000
	}
	return 100_000
}

// testS05: nonces are unique, long enough and never made without randomness, in all mechanisms and
// on both sides.
func testS05(t *testing.T) {
	total := manyNonces()
	mechs := Default()
	t.Run("client", func(t *testing.T) {
		seen := make(map[string]bool, total)
		for i := range total {
			msg := string(send(t, newClient(t, mechs[i%len(mechs)], scramConfig(mechs[i%len(mechs)])), nil))
			_, nonce, _ := strings.Cut(msg, ",r=")
			require.GreaterOrEqual(t, len(nonce)*6, 128)
			require.False(t, seen[nonce])
			seen[nonce] = true
		}
	})
	t.Run("server", func(t *testing.T) {
		seen := make(map[string]bool, total)
		scfg := serverConfig()
		for i := range total / 10 {
			m := mechs[i%len(mechs)]
			first := "n,,n=user,r=x"
			if m.ChannelBinding {
				first = "p=tls-exporter,,n=user,r=x"
			}
			msg := string(send(t, newServer(t, m, scfg), []byte(first)))
			nonce, _, _ := strings.Cut(strings.TrimPrefix(msg, "r=x"), ",")
			require.GreaterOrEqual(t, len(nonce)*6, 128)
			require.False(t, seen[nonce])
			seen[nonce] = true
		}
	})
	t.Run("rand fails", func(t *testing.T) {
		broken := errors.New("broken")
		for _, m := range mechs {
			ccfg, scfg := scramConfig(m), serverConfig()
			ccfg.Rand, scfg.Rand = iotest.ErrReader(broken), iotest.ErrReader(broken)
			fail(t, newClient(t, m, ccfg), "", Aborted, ErrRandom, broken)
			first := "n,,n=user,r=x"
			if m.ChannelBinding {
				first = "p=tls-exporter,,n=user,r=x"
			}
			fail(t, newServer(t, m, scfg), first, TemporaryAuthFailure, ErrRandom, broken)
			// A source that ends early is as bad.
			ccfg.Rand = bytes.NewReader(make([]byte, nonceBytes-1))
			fail(t, newClient(t, m, ccfg), "", Aborted, ErrRandom)
		}
		store := MemoryStore{Iterations: MinIterations, Rand: iotest.ErrReader(broken)}
		require.ErrorIs(t, store.Set(t.Context(), "u", "p"), broken)
	})
}

// scramConfig is a client configuration that fits the mechanism.
func scramConfig(m Mechanism) *ClientConfig {
	cfg := clientConfig()
	switch {
	case !m.ChannelBinding:
		cfg.Binding = Binding{}
	case m.BindingType == TLSServerEndPoint:
		cfg.Binding = serverConfig().Bindings[0]
	}
	return cfg
}

// testS06: what a server may not do to the nonce (RFC 5802 §5.1, §7; errata 2651).
func testS06(t *testing.T) {
	const nonce = "fyko+d2lbbFgONRv9qkxdawL"
	tail := ",s=" + b64(testSalt) + ",i=4096"
	for name, row := range map[string]struct {
		r    string
		want error
	}{
		"not prefixed":         {"x" + nonce + "abc", ErrNonce},
		"other":                {"3rfcNHYJY1ZVvWVs7j3rfcNHYJY1ZVvWVs7j", ErrNonce},
		"prefix of the nonce":  {nonce[:10], ErrNonce},
		"nothing added":        {nonce, ErrNonce},
		"case changed":         {strings.ToUpper(nonce) + "abc", ErrNonce},
		"comma":                {nonce + "a,b", errGrammar},
		"space":                {nonce + "a b", errGrammar},
		"control":              {nonce + "a\x01b", errGrammar},
		"delete":               {nonce + "a\x7fb", errGrammar},
		"not ASCII":            {nonce + "é", errGrammar},
		"not UTF-8":            {nonce + "\xff", errGrammar},
		"NUL":                  {nonce + "\x00", errGrammar},
		"empty":                {"", errGrammar},
		"nothing but a comma":  {",", errGrammar},
		"longer than anything": {nonce + strings.Repeat("x", maxMessage), errGrammar},
	} {
		t.Run("client/"+name, func(t *testing.T) {
			c := newClient(t, Scram(SHA256), &ClientConfig{Username: "u", Password: "p", nonce: nonce})
			send(t, c, nil)
			fail(t, c, "r="+row.r+tail, Aborted, row.want)
		})
	}
	for _, r := range []string{"", "a b", "é", "\x7f", "a\x00", ",", "\xff"} {
		t.Run(fmt.Sprintf("server/%q", r), func(t *testing.T) {
			fail(t, newServer(t, Scram(SHA256), serverConfig()), "n,,n=user,r="+r, MalformedRequest, errGrammar)
		})
	}
}

// testS07: nonces and messages of other exchanges.
func testS07(t *testing.T) {
	m := ScramPlus(SHA256)
	t.Run("server/altered nonce", func(t *testing.T) {
		for _, alter := range []func(string) string{
			func(r string) string { return r + "x" },
			func(r string) string { return r[:len(r)-1] },
			func(r string) string { return "!" + r[1:] }, // not a character of our nonces
			func(r string) string { return r[:24] },
			func(r string) string { return r + r },
		} {
			s, first, challenge, final := start(t, m, clientConfig(), serverConfig())
			attrs, err := splitAttributes(final)
			require.NoError(t, err)
			fail(t, s, sign(SHA256, first, challenge, "c="+attrs[0].value+",r="+alter(attrs[1].value)), NotAuthorized, ErrNonce)
		}
	})
	t.Run("server/another session's final", func(t *testing.T) {
		_, _, _, final := start(t, m, clientConfig(), serverConfig())
		s, _, _, _ := start(t, m, clientConfig(), serverConfig())
		fail(t, s, final, NotAuthorized, ErrNonce)
	})
	t.Run("server/replay of a whole exchange", func(t *testing.T) {
		s, first, _, final := start(t, m, clientConfig(), serverConfig())
		_, done, err := s.Next(t.Context(), []byte(final))
		require.NoError(t, err)
		require.True(t, done)
		id := s.Identity()
		_, done, err = s.Next(t.Context(), []byte(final))
		require.ErrorIs(t, err, ErrFinished)
		require.False(t, done)
		require.Equal(t, id, s.Identity())

		s = newServer(t, m, serverConfig())
		send(t, s, []byte(first))
		fail(t, s, final, NotAuthorized, ErrNonce)
	})
	t.Run("client/replayed signature", func(t *testing.T) {
		s, _, _, final := start(t, m, clientConfig(), serverConfig())
		v, _, err := s.Next(t.Context(), []byte(final))
		require.NoError(t, err)
		c := newClient(t, m, clientConfig())
		challenge := send(t, newServer(t, m, serverConfig()), send(t, c, nil))
		send(t, c, challenge)
		fail(t, c, string(v), Aborted, ErrServerSignature)
	})
	t.Run("client/wrong signature", func(t *testing.T) {
		good := make([]byte, SHA256.Size())
		for _, v := range []string{b64(good), b64(good[:31]), b64(append(good, 0)), b64("x")} {
			c := newClient(t, m, clientConfig())
			send(t, c, send(t, newServer(t, m, serverConfig()), send(t, c, nil)))
			fail(t, c, "v="+v, Aborted, ErrServerSignature)
		}
	})
	t.Run("client/success before the signature", func(t *testing.T) {
		c := newClient(t, m, clientConfig())
		send(t, c, send(t, newServer(t, m, serverConfig()), send(t, c, nil)))
		fail(t, c, "", Aborted, errGrammar)
	})
}

// testS31: nonces look random: a chi-square test over the 64 letters that they are written in.
func testS31(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	counts := make(map[rune]int)
	total := 0
	for range manyNonces() {
		nonce, err := newNonce(randReader)
		require.NoError(t, err)
		require.True(t, isPrintable(nonce))
		for _, r := range nonce {
			counts[r]++
			total++
		}
	}
	expected := float64(total) / float64(len(letters))
	chi := 0.0
	for _, r := range letters {
		d := float64(counts[r]) - expected
		chi += d * d / expected
	}
	require.Len(t, counts, len(letters))
	// 63 degrees of freedom: beyond 180 in fewer than one of 10^12 runs, below 15 in fewer than one of 10^10.
	require.Less(t, chi, 180.0)
	require.Greater(t, chi, 15.0)
}
