package sasl

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

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
			"n,a=,n=user,r=abc":                   ErrUsername,
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
			func(m string) string { return strings.Replace(m, ",p=", ",x=", 1) },
			func(m string) string { return strings.Replace(m, ",p=", ",P=", 1) },
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
