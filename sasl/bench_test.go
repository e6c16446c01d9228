package sasl

import (
	"testing"
)

// A whole exchange of the client with keys for 10,000 iterations: deriving them, and taking them
// from the cache.
func BenchmarkScramClient(b *testing.B) {
	for _, h := range hashes {
		first := "r=abcd,s=" + b64(testSalt) + ",i=10000"
		_, v := refProof(h, refDerive(h, testPassword, []byte(testSalt), DefaultIterations), "n=user,r=abc,"+first+",c=biws,r=abcd")
		serverFirst, serverFinal := []byte(first), []byte("v="+v)
		for _, bench := range []struct {
			name  string
			cache KeyCache
		}{{"derive", nil}, {"cached", new(MemoryKeyCache)}} {
			b.Run(string(h)+"/"+bench.name, func(b *testing.B) {
				m, cfg := Scram(h), &ClientConfig{Username: testUser, Password: testPassword, Cache: bench.cache, Service: "s", nonce: "abc"}
				b.ReportAllocs()
				for b.Loop() {
					c := newClient(b, m, cfg)
					send(b, c, nil)
					send(b, c, serverFirst)
					if _, done, err := c.Next(b.Context(), serverFinal); !done || err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// A whole exchange of the server; its work does not depend on the iteration count.
func BenchmarkScramServer(b *testing.B) {
	for _, h := range hashes {
		b.Run(string(h), func(b *testing.B) {
			cfg := serverConfig()
			cfg.nonce, cfg.Bindings = "d", nil
			first := "n,,n=user,r=abc"
			final := []byte(sign(h, first, "r=abcd,s="+b64(testSalt)+",i=4096", "c=biws,r=abcd"))
			m := Scram(h)
			b.ReportAllocs()
			for b.Loop() {
				s := newServer(b, m, cfg)
				send(b, s, []byte(first))
				if _, done, err := s.Next(b.Context(), final); !done || err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A PLAIN login costs the server what deriving the keys costs.
func BenchmarkPlainServer(b *testing.B) {
	cfg := &ServerConfig{Store: newOneUser(testUser, testPassword, testSalt, DefaultIterations), Secure: true}
	msg := []byte("\x00user\x00pencil")
	b.ReportAllocs()
	for b.Loop() {
		if _, done, err := newServer(b, Plain(), cfg).Next(b.Context(), msg); !done || err != nil {
			b.Fatal(err)
		}
	}
}
