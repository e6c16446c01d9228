package sasl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
)

func allow(context.Context, Identity) error { return nil }

// TestAdversarial holds the attacks that this package answers, one subtest each.
func TestAdversarial(t *testing.T) {
	t.Run("S01", testS01)
	t.Run("S02", testS02)
	t.Run("S04", testS04)
	t.Run("S05", testS05)
	t.Run("S06", testS06)
	t.Run("S07", testS07)
	t.Run("S08", testS08)
	t.Run("S09", testS09)
	t.Run("S11", testS11)
	t.Run("S12", testS12)
	t.Run("S13", testS13)
	t.Run("S14", testS14)
	t.Run("S18", testS18)
	t.Run("S19", testS19)
	t.Run("S22", testS22)
	t.Run("S31", testS31)
}

// testS02: PLAIN messages that RFC 4616 §2 does not allow.
func testS02(t *testing.T) {
	for _, msg := range []string{
		"", "user", "\x00user", "\x00user\x00", "\x00\x00pencil", "user\x00pencil", "\x00\x00", "\x00", "\x00\x00\x00",
		"a\x00user\x00pencil\x00x", "\x00user\x00pencil\x00", "\x00\x00user\x00pencil",
		"\x00user\x00penc\xffil", "\x00us\xc3er\x00pencil", "\xed\xa0\x80\x00user\x00pencil",
		"\x00" + strings.Repeat("u", 1<<20) + "\x00pencil", "\x00user\x00" + strings.Repeat("p", 1<<20),
		strings.Repeat("a", 1<<20) + "\x00user\x00pencil", strings.Repeat("\x00", 1<<20),
		"\x00" + strings.Repeat("u", maxName+1) + "\x00pencil",
	} {
		t.Run(fmt.Sprintf("server/%.20q", msg), func(t *testing.T) {
			err := fail(t, newServer(t, Plain(), serverConfig()), msg, MalformedRequest)
			require.NotContains(t, err.Error(), "pencil")
		})
	}
	// Well-formed, and wrong. A password that cannot be prepared (RFC 8265 §4.2.1) is one of them.
	for _, msg := range []string{
		"\x00user\x00pencil2", "\x00user\x00penci", "\x00User\x00pencil", "\x00nobody\x00pencil", "\x00user\x00pencil\n", "\x00user\x00\u0378",
		"\x00user\x00" + strings.Repeat("p", maxPassword), "\x00user\x00" + strings.Repeat("p", maxPassword+1),
	} {
		t.Run(fmt.Sprintf("server/%.20q", msg), func(t *testing.T) {
			require.Equal(t, &Error{Condition: NotAuthorized}, fail(t, newServer(t, Plain(), serverConfig()), msg))
		})
	}
	// RFC 4616 §2: up to 255 octets each MUST be accepted.
	t.Run("server/255 octets", func(t *testing.T) {
		name, password := strings.Repeat("é", 127)+"u", strings.Repeat("p", 255)
		store := newOneUser(name, password, testSalt, MinIterations)
		s := newServer(t, Plain(), &ServerConfig{Store: store, Secure: true})
		_, done, err := s.Next(t.Context(), []byte(name+"\x00"+name+"\x00"+password))
		require.NoError(t, err)
		require.True(t, done)
	})
	t.Run("client", func(t *testing.T) {
		for _, cfg := range []*ClientConfig{
			nil,
			{Password: "p", Secure: true},
			{Username: "u\x00", Password: "p", Secure: true},
			{Username: "u\xff", Password: "p", Secure: true},
			{Username: strings.Repeat("u", maxName+1), Password: "p", Secure: true},
			{Username: "u", AuthzID: "a\x00", Password: "p", Secure: true},
			{Username: "u", Secure: true},
		} {
			_, err := Plain().NewClient(cfg)
			require.ErrorIs(t, err, Aborted)
		}
		for _, password := range []string{"p\x00x", "p\n", "p\xff", "\u0378", strings.Repeat("p", maxPassword+1)} {
			c := newClient(t, Plain(), &ClientConfig{Username: "u", Password: password, Secure: true})
			err := fail(t, c, "", Aborted, ErrPassword)
			require.NotContains(t, err.Error(), password)
		}
		c := newClient(t, Plain(), clientConfig())
		fail(t, c, "challenge", Aborted)
	})
	// RFC 4616 §5: not without confidentiality.
	t.Run("insecure", func(t *testing.T) {
		_, err := Plain().NewClient(&ClientConfig{Username: "u", Password: "p"})
		require.ErrorIs(t, err, EncryptionRequired)
		_, err = Plain().NewServer(&ServerConfig{Store: testStore})
		require.ErrorIs(t, err, EncryptionRequired)
	})
}

// start runs an exchange up to the client-final-message and returns the messages; the server waits for the third.
func start(t testing.TB, m Mechanism, ccfg *ClientConfig, scfg *ServerConfig) (s Server, first, challenge, final string) {
	t.Helper()
	c := newClient(t, m, ccfg)
	s = newServer(t, m, scfg)
	first = string(send(t, c, nil))
	challenge = string(send(t, s, []byte(first)))
	final = string(send(t, c, []byte(challenge)))
	return s, first, challenge, final
}

// sign returns the client-final-message for whatever messages, with a proof that is right: what is wrong about the messages then
// cannot be refused on account of the proof.
func sign(h Hash, first, challenge, withoutProof string) string {
	parts := strings.SplitN(first, ",", 3)
	proof, _ := refProof(h, refDerive(h, testPassword, []byte(testSalt), MinIterations), parts[2]+","+challenge+","+withoutProof)
	return withoutProof + ",p=" + proof
}

// testS04: an authorization identity that the user has no right to, and one that changes in mid-exchange (RFC 5802 §5.1, §6).
func testS04(t *testing.T) {
	t.Run("server/other authzid", func(t *testing.T) {
		for _, m := range []Mechanism{Scram(SHA256), ScramPlus(SHA1)} {
			ccfg, scfg := clientConfig(), serverConfig()
			ccfg.AuthzID = "admin@host"
			if !m.ChannelBinding {
				ccfg.Binding = Binding{}
			}
			s, _, _, final := start(t, m, ccfg, scfg)
			fail(t, s, final, InvalidAuthzid)

			scfg.Authorize = func(_ context.Context, id Identity) error {
				require.Equal(t, Identity{AuthcID: "user", AuthzID: "admin@host"}, id)
				return errors.New("no")
			}
			s, _, _, final = start(t, m, ccfg, scfg)
			fail(t, s, final, InvalidAuthzid)

			scfg.Authorize = func(context.Context, Identity) error { return &Error{Condition: AccountDisabled} }
			s, _, _, final = start(t, m, ccfg, scfg)
			fail(t, s, final, AccountDisabled)
		}
	})
	t.Run("server/asked only with good credentials", func(t *testing.T) {
		for _, m := range []Mechanism{Scram(SHA256), Plain()} {
			ccfg, scfg := clientConfig(), serverConfig()
			ccfg.Password, ccfg.Binding, ccfg.AuthzID = "wrong", Binding{}, "admin@host"
			scfg.Authorize = func(context.Context, Identity) error { panic("asked") }
			require.Equal(t, &Error{Condition: NotAuthorized}, run(t, newClient(t, m, ccfg), newServer(t, m, scfg)))
		}
	})
	t.Run("server/same authzid", func(t *testing.T) {
		ccfg := clientConfig()
		ccfg.AuthzID, ccfg.Binding = testUser, Binding{}
		s := newServer(t, Scram(SHA1), serverConfig())
		require.NoError(t, run(t, newClient(t, Scram(SHA1), ccfg), s))
		require.Equal(t, Identity{"user", "user"}, s.Identity())
	})
	t.Run("server/c= with another authzid", func(t *testing.T) {
		for _, gs2 := range []string{"n,a=admin@host,", "n,a=user,", "n,,"} {
			first := "n,a=eve,n=user,r=abc"
			scfg := serverConfig()
			scfg.Authorize = allow
			s := newServer(t, Scram(SHA256), scfg)
			challenge := string(send(t, s, []byte(first)))
			nonce, _, _ := strings.Cut(challenge, ",")
			fail(t, s, sign(SHA256, first, challenge, "c="+b64(gs2)+","+nonce), NotAuthorized, ErrChannelBinding)
		}
	})
}

// testS05: nonces are unique, long enough and never made without randomness, in all mechanisms and on both sides.
func testS05(t *testing.T) {
	const total = 100_000
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
	if !m.ChannelBinding {
		cfg.Binding = Binding{}
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
			func(r string) string { return "x" + r[1:] },
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

// countCtx counts how often it is asked, and is cancelled from a certain time on. It measures work without a clock.
type countCtx struct {
	context.Context
	asked, limit int
}

func (c *countCtx) Err() error {
	if c.asked++; c.limit > 0 && c.asked > c.limit {
		return context.Canceled
	}
	return nil
}

// testS08: iteration counts below the floor, above the ceiling and malformed, all refused before any work.
func testS08(t *testing.T) {
	for _, i := range []string{
		"1", "4095", "0", "-1", "04096", "4096abc", " 4096", "4096 ", "+4096", "", "0x1000", "4_096", "4096.0", "1e6", "٤٠٩٦",
		"1000001", "2147483647", "2147483648", "4294967296", "9223372036854775808", "99999999999999999999", strings.Repeat("9", 5000),
	} {
		t.Run(fmt.Sprintf("client/%.20s", i), func(t *testing.T) {
			for _, m := range Default() {
				cfg := scramConfig(m)
				cfg.Password, cfg.GetPassword = "", func(context.Context) (string, error) { panic("about to compute") }
				c := newClient(t, m, cfg)
				_, nonce, _ := strings.Cut(string(send(t, c, nil)), ",r=")
				ctx := &countCtx{Context: t.Context()}
				_, done, err := c.Next(ctx, []byte("r="+nonce+"x,s="+b64(testSalt)+",i="+i))
				require.ErrorIs(t, err, Aborted)
				if i != "" {
					require.ErrorIs(t, err, ErrIterations)
				}
				require.Less(t, len(err.Error()), 300)
				require.False(t, done)
				require.Zero(t, ctx.asked)
			}
		})
	}
	t.Run("client/bounds", func(t *testing.T) {
		cfg := clientConfig()
		cfg.Binding = Binding{}
		try := func(i int) error {
			cfg.nonce = "abc"
			c := newClient(t, Scram(SHA1), cfg)
			send(t, c, nil)
			_, _, err := c.Next(t.Context(), fmt.Appendf(nil, "r=abcd,s=%s,i=%d", b64(testSalt), i))
			return err
		}
		require.NoError(t, try(4096))
		cfg.MinIterations = 1 // cannot be lowered
		require.ErrorIs(t, try(4095), ErrIterations)
		cfg.MinIterations = 5000
		require.ErrorIs(t, try(4999), ErrIterations)
		require.NoError(t, try(5000))
		cfg.MaxIterations = 6000
		require.NoError(t, try(6000))
		require.ErrorIs(t, try(6001), ErrIterations)
		cfg.MaxIterations = 4999
		_, err := Scram(SHA1).NewClient(cfg)
		require.ErrorIs(t, err, ErrConfig)
	})
	t.Run("server", func(t *testing.T) {
		_, err := DeriveKeys(t.Context(), SHA1, "p", []byte(testSalt), 4095)
		require.ErrorIs(t, err, ErrIterations)
		_, err = Scram(SHA1).NewServer(&ServerConfig{Store: testStore, FakeIterations: 4095})
		require.ErrorIs(t, err, ErrIterations)
		weak := newOneUser(testUser, testPassword, testSalt, 1000)
		s := newServer(t, Scram(SHA1), &ServerConfig{Store: weak})
		fail(t, s, "n,,n=user,r=x", TemporaryAuthFailure, ErrIterations)
	})
}

// testS09: a cancelled context stops the computation at once.
func testS09(t *testing.T) {
	t.Run("client", func(t *testing.T) {
		for _, h := range hashes {
			cfg := clientConfig()
			cfg.Binding, cfg.nonce = Binding{}, "abc"
			c := newClient(t, Scram(h), cfg)
			send(t, c, nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			defer cancel()
			begin := time.Now()
			_, done, err := c.Next(ctx, fmt.Appendf(nil, "r=abcd,s=%s,i=%d", b64(testSalt), DefaultMaxIterations))
			require.Less(t, time.Since(begin), 500*time.Millisecond)
			require.ErrorIs(t, err, Aborted)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.False(t, done)
		}
	})
	t.Run("server", func(t *testing.T) {
		store := oneUser{testUser, maps.Clone(testStore.keys)}
		k := store.keys[SHA256]
		k.Iterations = DefaultMaxIterations
		store.keys[SHA256] = k
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		begin := time.Now()
		_, done, err := newServer(t, Plain(), &ServerConfig{Store: store, Secure: true}).Next(ctx, []byte("\x00user\x00pencil"))
		require.Less(t, time.Since(begin), 500*time.Millisecond)
		require.ErrorIs(t, err, TemporaryAuthFailure)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, done)
	})
	t.Run("asked every 4096 iterations", func(t *testing.T) {
		ctx := &countCtx{Context: t.Context()}
		_, err := saltedPassword(ctx, SHA1, "p", []byte("s"), 10*ctxEvery+1)
		require.NoError(t, err)
		require.Equal(t, 11, ctx.asked)
		ctx = &countCtx{Context: t.Context(), limit: 3}
		_, err = saltedPassword(ctx, SHA1, "p", []byte("s"), DefaultMaxIterations)
		require.ErrorIs(t, err, context.Canceled)
		require.Equal(t, 4, ctx.asked)
	})
}

// testS11: extensions, duplicates and order (RFC 5802 §5.1, §5.2, §7).
func testS11(t *testing.T) {
	salt := b64(testSalt)
	const nonce = "abc"
	t.Run("client/server-first", func(t *testing.T) {
		for msg, want := range map[string]error{
			"m=x,r=abcd,s=" + salt + ",i=4096":     ErrExtension,
			"r=abcd,s=" + salt + ",i=4096,m=x":     ErrExtension,
			"r=abcd,m=x,s=" + salt + ",i=4096":     ErrExtension,
			"r=abcd,r=abcd,s=" + salt + ",i=4096":  errGrammar,
			"r=abcd,s=" + salt + ",i=4096,r=abcd":  errGrammar,
			"r=abcd,s=" + salt + ",i=4096,i=4096":  errGrammar,
			"r=abcd,s=" + salt + ",i=4096,s=AAAA":  errGrammar,
			"r=abcd,s=" + salt + ",i=4096,v=AAAA":  errGrammar,
			"s=" + salt + ",r=abcd,i=4096":         errGrammar,
			"r=abcd,i=4096,s=" + salt:              errGrammar,
			"r=abcd,s=" + salt:                     errGrammar,
			"r=abcd,i=4096":                        errGrammar,
			"s=" + salt + ",i=4096":                errGrammar,
			"x=y,r=abcd,s=" + salt + ",i=4096":     errGrammar,
			"r=abcd,x=y,s=" + salt + ",i=4096":     errGrammar,
			"r=abcd,s=" + salt + ",i=4096,":        errGrammar,
			"r=abcd,s=" + salt + ",i=4096,x=":      errGrammar,
			"r=abcd,s=" + salt + ",i=4096,x":       errGrammar,
			"r=abcd,s=" + salt + ",i=4096,1=x":     errGrammar,
			"r=abcd,s=" + salt + ",i=4096,xx=y":    errGrammar,
			"R=abcd,s=" + salt + ",i=4096":         errGrammar,
			" r=abcd,s=" + salt + ",i=4096":        errGrammar,
			"r=abcd,s=,i=4096":                     errGrammar,
			"r=abcd,s=AAA,i=4096":                  errGrammar, // no padding
			"r=abcd,s=AAB=,i=4096":                 errGrammar, // stray bits
			"r=abcd,s=AA\nAA,i=4096":               errGrammar,
			"r=abcd,s=AAAA\r\n,i=4096":             errGrammar,
			"r=abcd,s=AA-_,i=4096":                 errGrammar,
			"r=abcd,s=AA=A,i=4096":                 errGrammar,
			"r=abcd,s= AAAA,i=4096":                errGrammar,
			"":                                     errGrammar,
			",":                                    errGrammar,
			"e=":                                   errGrammar,
			"e=other-error,e=x":                    errGrammar,
			"e=other-error":                        ErrRejected,
			"e=other-error,x=y":                    ErrRejected,
			"r=abcd,s=" + salt + ",i=4096,x=\x00":  errGrammar,
			"r=abcd,s=" + salt + ",i=4096,x=\xc3(": errGrammar,
		} {
			c := newClient(t, Scram(SHA1), &ClientConfig{Username: "user", Password: "pencil", nonce: nonce})
			send(t, c, nil)
			fail(t, c, msg, want)
		}
	})
	t.Run("client/server-final", func(t *testing.T) {
		first, challenge := "n=user,r=abc", "r=abcd,s="+salt+",i=4096"
		_, v := refProof(SHA1, refDerive(SHA1, testPassword, []byte(testSalt), 4096), first+","+challenge+",c=biws,r=abcd")
		for msg, want := range map[string]error{
			"m=x,v=" + v:             ErrExtension,
			"v=" + v + ",m=x":        ErrExtension,
			"v=" + v + ",v=" + v:     errGrammar,
			"v=" + v + ",e=x":        errGrammar,
			"x=y,v=" + v:             errGrammar,
			"v=" + v + ",":           errGrammar,
			"v=" + v + "\n":          errGrammar,
			"v=" + v[:10] + "\n" + v: errGrammar,
			"v=" + v[:len(v)-1]:      errGrammar,
			"V=" + v:                 errGrammar,
			"v=":                     errGrammar,
			"":                       errGrammar,
			"e=invalid-proof":        ErrRejected,
			"e=invalid-proof,v=" + v: errGrammar,
		} {
			c := newClient(t, Scram(SHA1), &ClientConfig{Username: "user", Password: "pencil", nonce: nonce})
			send(t, c, nil)
			send(t, c, []byte(challenge))
			fail(t, c, msg, want)
		}
		// Unknown optional extensions are ignored.
		c := newClient(t, Scram(SHA1), &ClientConfig{Username: "user", Password: "pencil", nonce: nonce})
		send(t, c, nil)
		send(t, c, []byte(challenge))
		_, done, err := c.Next(t.Context(), []byte("v="+v+",x=y,z=1=2"))
		require.NoError(t, err)
		require.True(t, done)
	})
	t.Run("client/optional extension is in AuthMessage", func(t *testing.T) {
		c := newClient(t, Scram(SHA1), &ClientConfig{Username: "user", Password: "pencil", nonce: nonce})
		send(t, c, nil)
		challenge := "r=abcd,s=" + salt + ",i=4096,x=y,x=z,Q=a=b"
		require.Equal(t, sign(SHA1, "n,,n=user,r=abc", challenge, "c=biws,r=abcd"), string(send(t, c, []byte(challenge))))
	})
	t.Run("server/client-first", func(t *testing.T) {
		for msg, want := range map[string]error{
			"n,,m=x,n=user,r=abc":                 ErrExtension,
			"n,,n=user,m=x,r=abc":                 ErrExtension,
			"n,,n=user,r=abc,m=x":                 ErrExtension,
			"n,,n=user,r=abc,r=abc":               errGrammar,
			"n,,n=user,n=user,r=abc":              errGrammar,
			"n,,n=user,r=abc,n=eve":               errGrammar,
			"n,,n=user,r=abc,a=eve":               errGrammar,
			"n,,r=abc,n=user":                     errGrammar,
			"n,,n=user":                           errGrammar,
			"n,,r=abc":                            errGrammar,
			"n,,n=,r=abc":                         errGrammar,
			"n,,n=user,r=":                        errGrammar,
			"n,,n=user,x=y,r=abc":                 errGrammar,
			"n,,n=user,r=abc,":                    errGrammar,
			"n,,N=user,r=abc":                     errGrammar,
			"n,n=user,r=abc":                      errGrammar,
			"n,":                                  errGrammar,
			"n":                                   errGrammar,
			"":                                    errGrammar,
			",,n=user,r=abc":                      errGrammar,
			"N,,n=user,r=abc":                     errGrammar,
			"x,,n=user,r=abc":                     errGrammar,
			"F,n,,n=user,r=abc":                   errGrammar, // GS2 for non-standard mechanisms: not SCRAM
			"n=,,n=user,r=abc":                    errGrammar,
			" n,,n=user,r=abc":                    errGrammar,
			"p,,n=user,r=abc":                     errGrammar,
			"p=,,n=user,r=abc":                    errGrammar,
			"p=tls_unique,,n=user,r=abc":          errGrammar,
			"n,a=,n=user,r=abc":                   errGrammar,
			"n,b=x,n=user,r=abc":                  errGrammar,
			"n,a,n=user,r=abc":                    errGrammar,
			"n,a=a=2c,n=user,r=abc":               errGrammar,
			"n,a=a\x00b,n=user,r=abc":             ErrUsername,
			"n,a=a\xff,n=user,r=abc":              ErrUsername,
			"n,,n=us=er,r=abc":                    errGrammar,
			"n,,n=user=,r=abc":                    errGrammar,
			"n,,n=user=2,r=abc":                   errGrammar,
			"n,,n=user=2c,r=abc":                  errGrammar,
			"n,,n=user=3d,r=abc":                  errGrammar,
			"n,,n=user=2E,r=abc":                  errGrammar,
			"n,,n=us\x00er,r=abc":                 errGrammar,
			"n,,n=us\xc3er,r=abc":                 errGrammar,
			"n,,n=user,r=abc,x=" + "\xed\xa0\x80": errGrammar,
			"n,,n=" + strings.Repeat("u", maxName+1) + ",r=abc":      ErrUsername,
			"n,,n=user,r=abc,x=" + strings.Repeat("x", maxMessage):   errGrammar,
			"n,,n=" + strings.Repeat("=2C", maxMessage/3) + ",r=abc": errGrammar,
		} {
			fail(t, newServer(t, Scram(SHA1), serverConfigNoBinding()), msg, MalformedRequest, want)
		}
	})
	t.Run("server/client-final", func(t *testing.T) {
		const first = "n,,n=user,r=abc"
		begin := func() (s Server, challenge, r string) {
			s = newServer(t, Scram(SHA1), serverConfigNoBinding())
			challenge = string(send(t, s, []byte(first)))
			r, _, _ = strings.Cut(challenge, ",")
			return s, challenge, r
		}
		for _, row := range []struct {
			format string // of the message without proof; %s is the nonce attribute
			want   error
		}{
			{"m=x,c=biws,%s", ErrExtension},
			{"c=biws,%s,m=x", ErrExtension},
			{"c=biws,%[1]s,%[1]s", errGrammar},
			{"c=biws,c=biws,%s", errGrammar},
			{"c=biws,%s,c=biws", errGrammar},
			{"c=biws,%s,p=AAAA", errGrammar},
			{"%s,c=biws", errGrammar},
			{"c=biws", errGrammar},
			{"%s", errGrammar},
			{"x=y,c=biws,%s", errGrammar},
			{"c=biws,x=y,%s", errGrammar},
			{"c=,%s", errGrammar},
			{"c=biws,%s,", errGrammar},
			{"c=biws,%s,x=", errGrammar},
			{"C=biws,%s", errGrammar},
		} {
			s, challenge, r := begin()
			msg := row.format
			if strings.Contains(msg, "%") {
				msg = fmt.Sprintf(msg, r)
			}
			fail(t, s, sign(SHA1, first, challenge, msg), MalformedRequest, row.want)
		}
		// What comes after the proof, and the proof itself.
		for _, alter := range []func(string) string{
			func(m string) string { return m + ",x=y" },
			func(m string) string { return m + "," },
			func(m string) string { return m + "\n" },
			func(m string) string { return m + "," + m[strings.LastIndex(m, "p="):] },
			func(m string) string { return m[:strings.LastIndex(m, ",p=")] },
			func(m string) string { return m[:len(m)-1] },
			func(m string) string { return m[:strings.LastIndex(m, "p=")+2] },
			func(string) string { return "" },
		} {
			s, challenge, r := begin()
			fail(t, s, alter(sign(SHA1, first, challenge, "c=biws,"+r)), MalformedRequest, errGrammar)
		}
		// Wrong proofs of any length are wrong credentials.
		for _, n := range []int{1, 19, 20, 21, 32} {
			s, _, r := begin()
			err := fail(t, s, "c=biws,"+r+",p="+b64(make([]byte, n)), NotAuthorized)
			require.Equal(t, &Error{Condition: NotAuthorized}, err)
		}
		// Unknown optional extensions are ignored, and count in AuthMessage.
		s, challenge, r := begin()
		final := sign(SHA1, first, challenge, "c=biws,"+r+",x=y,Z=1=2")
		fail(t, s, strings.Replace(final, "x=y", "x=z", 1), NotAuthorized)
		s, challenge, r = begin()
		_, done, err := s.Next(t.Context(), []byte(sign(SHA1, first, challenge, "c=biws,"+r+",x=y,Z=1=2")))
		require.NoError(t, err)
		require.True(t, done)
		// So do those of the first message.
		s = newServer(t, Scram(SHA1), serverConfigNoBinding())
		challenge = string(send(t, s, []byte(first+",x=y")))
		r, _, _ = strings.Cut(challenge, ",")
		_, done, err = s.Next(t.Context(), []byte(sign(SHA1, first+",x=y", challenge, "c=biws,"+r)))
		require.NoError(t, err)
		require.True(t, done)
	})
}

func serverConfigNoBinding() *ServerConfig {
	cfg := serverConfig()
	cfg.Bindings = nil
	return cfg
}

// testS12: RFC 5802 §6: a client that saw no -PLUS where there was one MUST be refused.
func testS12(t *testing.T) {
	const first = "y,,n=user,r=abc"
	for _, row := range []struct {
		name     string
		bindings []Binding
		offered  []string
		refused  bool
	}{
		{"offered", []Binding{testBinding}, []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"}, true},
		{"another -PLUS offered", []Binding{testBinding}, []string{"SCRAM-SHA-512-PLUS", "SCRAM-SHA-256"}, true},
		{"offer not told", []Binding{testBinding}, nil, true},
		{"offered without a binding", nil, []string{"SCRAM-SHA-256-PLUS"}, true},
		{"switched off", []Binding{testBinding}, []string{"SCRAM-SHA-256"}, false},
		{"no binding", nil, nil, false},
	} {
		t.Run("server/"+row.name, func(t *testing.T) {
			scfg := serverConfig()
			scfg.Bindings, scfg.Offered = row.bindings, row.offered
			s := newServer(t, Scram(SHA256), scfg)
			if row.refused {
				fail(t, s, first, NotAuthorized, ErrDowngrade)
				return
			}
			challenge := string(send(t, s, []byte(first)))
			r, _, _ := strings.Cut(challenge, ",")
			_, done, err := s.Next(t.Context(), []byte(sign(SHA256, first, challenge, "c=eSws,"+r)))
			require.NoError(t, err)
			require.True(t, done)
		})
	}
	t.Run("client/-PLUS offered, not used", func(t *testing.T) {
		_, err := Scram(SHA256).NewClient(clientConfig())
		require.ErrorIs(t, err, Aborted)
		require.ErrorIs(t, err, ErrDowngrade)
	})
	// An attacker between the two who removes the -PLUS names.
	t.Run("stripped", func(t *testing.T) {
		offered := []string{"SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"}
		for _, seen := range [][]string{{"SCRAM-SHA-256"}, {"SCRAM-SHA-256", "BOGUS-PLUS"}} {
			m, b, err := Select(Default(), seen, Policy{Bindings: []Binding{testBinding}})
			require.NoError(t, err)
			ccfg, scfg := clientConfig(), serverConfig()
			ccfg.Binding, ccfg.Offered, scfg.Offered = b, seen, offered
			require.ErrorIs(t, run(t, newClient(t, m, ccfg), newServer(t, m, scfg)), ErrDowngrade)
		}
	})
}

// testS13: RFC 5802 §6, XEP-0440 §3: which flag a client sends.
func testS13(t *testing.T) {
	plus := []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}
	for _, row := range []struct {
		name     string
		mechs    []Mechanism
		offered  []string
		bindings []Binding
		flag     string
	}{
		{"client can, server cannot", Default(), plus[:1], []Binding{testBinding}, "y,"},
		{"client can, server offers another -PLUS", Default(), []string{"SCRAM-SHA-1", "X-PLUS"}, []Binding{testBinding}, "y,"},
		{"client cannot, server cannot", Default(), plus[:1], nil, "n,"},
		{"client cannot, server can", Default(), plus, nil, "n,"},
		{"client has no -PLUS mechanism", []Mechanism{Scram(SHA1)}, plus, []Binding{testBinding}, "n,"},
		{"client has an empty binding", Default(), plus, []Binding{{TLSExporter, nil}}, "n,"},
		{"both can", Default(), plus, []Binding{testBinding}, "p=tls-exporter,"},
	} {
		t.Run("client/"+row.name, func(t *testing.T) {
			m, b, err := Select(row.mechs, row.offered, Policy{Bindings: row.bindings})
			require.NoError(t, err)
			c := newClient(t, m, &ClientConfig{Username: "u", Password: "p", Binding: b, Offered: row.offered})
			require.True(t, strings.HasPrefix(string(send(t, c, nil)), row.flag))
		})
	}
}

// testS14: RFC 5802 §6: flags that contradict the mechanism, and types that the connection does not have.
func testS14(t *testing.T) {
	tls13 := func() *ServerConfig { // TLS 1.3 has no tls-unique
		cfg := serverConfig()
		cfg.Offered = []string{"SCRAM-SHA-1-PLUS"}
		return cfg
	}
	for _, row := range []struct {
		mech  Mechanism
		first string
		want  error
	}{
		{ScramPlus(SHA1), "n,,n=user,r=abc", MalformedRequest},
		{ScramPlus(SHA1), "y,,n=user,r=abc", MalformedRequest},
		{Scram(SHA1), "p=tls-exporter,,n=user,r=abc", MalformedRequest},
		{ScramPlus(SHA1), "p=tls-unique,,n=user,r=abc", NotAuthorized},
		{ScramPlus(SHA1), "p=unknown,,n=user,r=abc", NotAuthorized},
		{ScramPlus(SHA1), "p=TLS-EXPORTER,,n=user,r=abc", NotAuthorized},
		{ScramPlus(SHA1), "p=tls-exporter.,,n=user,r=abc", NotAuthorized},
	} {
		t.Run("server/"+row.mech.Name+" "+row.first, func(t *testing.T) {
			err := fail(t, newServer(t, row.mech, tls13()), row.first, row.want, ErrChannelBinding)
			// Not an oracle: a name without an account gets the same answer.
			other := fail(t, newServer(t, row.mech, tls13()), strings.Replace(row.first, "n=user", "n=nobody", 1), row.want, ErrChannelBinding)
			require.Equal(t, err, other)
		})
	}
	t.Run("server/no binding", func(t *testing.T) {
		_, err := ScramPlus(SHA1).NewServer(serverConfigNoBinding())
		require.ErrorIs(t, err, InvalidMechanism)
		cfg := serverConfig()
		cfg.Bindings = []Binding{{TLSExporter, nil}}
		fail(t, newServer(t, ScramPlus(SHA1), cfg), "p=tls-exporter,,n=user,r=abc", NotAuthorized, ErrChannelBinding)
	})
	t.Run("client", func(t *testing.T) {
		for _, b := range []Binding{{}, {TLSExporter, nil}, {"", []byte("x")}, {"a,b", []byte("x")}, {"a=b", []byte("x")}} {
			cfg := clientConfig()
			cfg.Binding = b
			_, err := ScramPlus(SHA1).NewClient(cfg)
			require.ErrorIs(t, err, ErrChannelBinding)
		}
	})
}

// testS18: the value of "c" is compared whole, as text (RFC 5802 §6).
func testS18(t *testing.T) {
	data := string(testBinding.Data)
	for _, row := range []struct {
		name, gs2 string
		c         []string
	}{
		{"y", "y,,", []string{b64("n,,"), b64("y,,x"), b64("y,"), b64("y,a=user,"), b64("p=tls-exporter,," + data), "eSws====", "eSwsAA==", "x"}},
		{"n", "n,,", []string{b64("y,,"), b64("n,,\x00"), b64("n,"), b64("n,,n=user"), "biw", "biws,biws"[:5], "!!!!"}},
		{"p", "p=tls-exporter,,", []string{
			b64("n,,"), b64("y,,"), b64("p=tls-exporter,,"), b64("p=tls-exporter,," + data[:len(data)-1]), b64("p=tls-exporter,," + data + "x"),
			b64("p=tls-exporter,," + data + data), b64("p=tls-exporter,,x" + data[1:]), b64("p=tls-server-end-point,," + data),
			b64("p=tls-server-end-point,,certificate hash"), b64("p=tls-exporter,a=user," + data),
			b64("p=tls-exporter,,"+data) + "AAAA", strings.TrimRight(b64("p=tls-exporter,,"+data), "="),
		}},
	} {
		m, scfg := Scram(SHA256), serverConfigNoBinding()
		want := b64(row.gs2)
		if row.name == "p" {
			m, scfg, want = ScramPlus(SHA256), serverConfig(), b64(row.gs2+data)
		}
		first := row.gs2 + "n=user,r=abc"
		for _, c := range append([]string{want}, row.c...) {
			t.Run("server/"+row.name+"/"+c, func(t *testing.T) {
				s := newServer(t, m, scfg)
				challenge := string(send(t, s, []byte(first)))
				r, _, _ := strings.Cut(challenge, ",")
				msg := sign(SHA256, first, challenge, "c="+c+","+r)
				if c == want && !slices.Contains(row.c, c) {
					_, done, err := s.Next(t.Context(), []byte(msg))
					require.NoError(t, err)
					require.True(t, done)
					return
				}
				out, done, err := s.Next(t.Context(), []byte(msg))
				require.Error(t, err)
				require.False(t, done)
				require.Nil(t, out)
				require.Zero(t, s.Identity())
			})
		}
	}
	// The same attack from the other end: two connections whose bindings differ.
	t.Run("relayed", func(t *testing.T) {
		for _, h := range hashes {
			ccfg := clientConfig()
			ccfg.Binding.Data = []byte("another connection..")
			require.ErrorIs(t, run(t, newClient(t, ScramPlus(h), ccfg), newServer(t, ScramPlus(h), serverConfig())), ErrChannelBinding)
		}
	})
}

// testS31: nonces look random: a chi-square test over the 64 letters that they are written in.
func testS31(t *testing.T) {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	counts := make(map[rune]int)
	total := 0
	for range 100_000 {
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
