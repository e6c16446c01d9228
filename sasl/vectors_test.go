package sasl

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A vector is one exchange, message by message.
type vector struct {
	name        string
	mech        Mechanism
	password    string
	salt        []byte
	binding     Binding
	offered     []string
	authzID     string
	username    string
	clientNonce string
	serverNonce string
	types       []string // announced (XEP-0440)
	tlsVersion  uint16
	messages    [4]string // client-first, server-first, client-final, server-final
	serverOnly  bool      // the client's message has an extension that this client does not send
}

func publishedVectors(t testing.TB) []vector {
	const cnonce0474 = "12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6"
	const snonce0474 = "a09117a6-ac50-4f2f-93f1-93799c2bddf6"
	offered0474 := []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}
	types0474 := []string{TLSServerEndPoint, TLSExporter}
	salt := unb64(t, "QSXCR+Q6sek8bf92")
	return []vector{{
		name: "RFC 5802 §5", mech: Scram(SHA1), username: "user", password: "pencil", salt: salt,
		clientNonce: "fyko+d2lbbFgONRv9qkxdawL", serverNonce: "3rfcNHYJY1ZVvWVs7j",
		messages: [4]string{
			"n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
			"r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
			"c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
			"v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
		},
	}, {
		name: "RFC 7677 §3", mech: Scram(SHA256), username: "user", password: "pencil", salt: unb64(t, "W22ZaJ0SNY7soEsUEjb6gQ=="),
		clientNonce: "rOprNGfwEbeRWgbNEkqO", serverNonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
		messages: [4]string{
			"n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
			"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
			"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
			"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
		},
	}, {
		// The client adds an extension of its own, which this client does not send, and no server knows.
		name: "XEP-0474 §6.3", mech: ScramPlus(SHA1), username: "user", password: "pencil", salt: salt,
		binding: testBinding, offered: offered0474, types: types0474, clientNonce: cnonce0474, serverNonce: snonce0474, serverOnly: true,
		messages: [4]string{
			"p=tls-exporter,,n=user,r=" + cnonce0474,
			"r=" + cnonce0474 + snonce0474 + ",s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=",
			"c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=" + cnonce0474 + snonce0474 +
				",x=19C6532F-1CF4-4A27-A18D-DC9CEA41BBB3,p=M/SIDjT+dfcxUh89jZEypRvFxB4=",
			"v=MQrMPvv7yv4x4Cq4W4Ih25EqS2c=",
		},
	}, {
		name: "XEP-0515 §4.3", mech: ScramPlus(SHA1), username: "user", password: "pencil", salt: salt,
		binding: testBinding, offered: offered0474, types: types0474, tlsVersion: 0x0304, clientNonce: cnonce0474, serverNonce: snonce0474,
		messages: [4]string{
			"p=tls-exporter,,n=user,r=" + cnonce0474,
			"r=" + cnonce0474 + snonce0474 + ",s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=,t=0304",
			"c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=" + cnonce0474 + snonce0474 + ",p=KHUfN8dSy1K95crT4D5y1ItLJfs=",
			"v=3w34ZIMVRkx2f2Ozb3/ecRPVdv4=",
		},
	}}
}

// crossVectors are exchanges whose messages the reference computes: all hashes, all flags, escapes
// and characters that need preparation.
func crossVectors() []vector {
	var vs []vector
	for _, h := range hashes {
		for _, flag := range []string{"n", "y", "p=tls-exporter", "p=tls-server-end-point"} {
			v := vector{
				name: string(h) + "/" + flag, mech: Scram(h), salt: []byte("salt of sixteen!"),
				username: "a,b=cé", authzID: "x=y,z@example.org", clientNonce: "client!nonce=", serverNonce: "~server/nonce",
				// NO-BREAK SPACE and a decomposed é: OpaqueString maps the one and composes the other.
				password: "pass\u00a0word e\u0301",
			}
			if typ, ok := strings.CutPrefix(flag, "p="); ok {
				v.mech, v.binding = ScramPlus(h), Binding{typ, []byte("\x00binding,data\xff")}
			} else if flag == "y" {
				v.binding = Binding{TLSExporter, []byte("unused")}
				v.offered = []string{"SCRAM-SHA-1"}
			}
			gs2 := flag + ",a=x=3Dy=2Cz@example.org,"
			bare := "n=a=2Cb=3Dcé,r=client!nonce="
			first := "r=client!nonce=~server/nonce,s=" + b64(v.salt) + ",i=5000"
			cb := ""
			if v.mech.ChannelBinding {
				cb = string(v.binding.Data)
			}
			final := "c=" + b64(gs2+cb) + ",r=client!nonce=~server/nonce"
			proof, verifier := refProof(h, refDerive(h, "pass word \u00e9", v.salt, 5000), bare+","+first+","+final)
			v.messages = [4]string{gs2 + bare, first, final + ",p=" + proof, "v=" + verifier}
			vs = append(vs, v)
		}
	}
	return vs
}

// testS01: the published examples, and those that the reference computes, on both sides.
func testS01(t *testing.T) {
	vectors := append(publishedVectors(t), crossVectors()...)
	t.Run("client", func(t *testing.T) {
		for _, v := range vectors {
			if v.serverOnly {
				continue
			}
			t.Run(v.name, func(t *testing.T) {
				c := newClient(t, v.mech, &ClientConfig{Username: v.username, AuthzID: v.authzID, Password: v.password,
					Binding: v.binding, Offered: v.offered, OfferedTypes: v.types, TLSVersion: v.tlsVersion, nonce: v.clientNonce})
				require.Equal(t, v.messages[0], string(send(t, c, nil)))
				require.Equal(t, v.messages[2], string(send(t, c, []byte(v.messages[1]))))
				out, done, err := c.Next(t.Context(), []byte(v.messages[3]))
				require.NoError(t, err)
				require.True(t, done)
				require.Nil(t, out)
			})
		}
	})
	t.Run("server", func(t *testing.T) {
		for _, v := range vectors {
			t.Run(v.name, func(t *testing.T) {
				iterations := 4096
				if strings.Contains(v.messages[1], ",i=5000") {
					iterations = 5000
				}
				keys, err := DeriveKeys(t.Context(), v.mech.Hash, v.password, v.salt, iterations)
				require.NoError(t, err)
				var store MemoryStore
				require.NoError(t, store.SetKeys(v.username, keys))
				cfg := &ServerConfig{Store: &store, nonce: v.serverNonce, Offered: v.serverOffer(),
					OfferedTypes: v.types, TLSVersion: v.tlsVersion, Authorize: allow}
				if v.mech.ChannelBinding {
					cfg.Bindings = []Binding{{"other", []byte("x")}, v.binding}
				}
				s := newServer(t, v.mech, cfg)
				require.Equal(t, v.messages[1], string(send(t, s, []byte(v.messages[0]))))
				require.Zero(t, s.Identity())
				out, done, err := s.Next(t.Context(), []byte(v.messages[2]))
				require.NoError(t, err)
				require.True(t, done)
				require.Equal(t, v.messages[3], string(out))
				require.Equal(t, Identity{AuthcID: v.username, AuthzID: v.authzID}, s.Identity())
			})
		}
	})
}

// serverOffer is what the server says that it offered: nothing in the vectors that are older than
// XEP-0474, whose messages have no place for it.
func (v vector) serverOffer() []string {
	if strings.Contains(v.messages[1], ",h=") {
		return v.offered
	}
	return nil
}

// TestPlainVectors: RFC 4616 §4.
func TestPlainVectors(t *testing.T) {
	var store MemoryStore
	for name, password := range map[string]string{"tim": "tanstaaftanstaaf", "Kurt": "xipj3plmq"} {
		keys, err := DeriveKeys(t.Context(), SHA256, password, []byte(testSalt), MinIterations)
		require.NoError(t, err)
		require.NoError(t, store.SetKeys(name, keys))
	}
	cfg := &ServerConfig{Store: &store, Secure: true}

	c := newClient(t, Plain(), &ClientConfig{Username: "tim", Password: "tanstaaftanstaaf", Secure: true})
	out, done, err := c.Next(t.Context(), []byte{}) // §4, first example: "+" and an empty challenge
	require.NoError(t, err)
	require.True(t, done)
	require.Equal(t, "\x00tim\x00tanstaaftanstaaf", string(out))

	s := newServer(t, Plain(), cfg)
	require.Equal(t, []byte{}, send(t, s, nil))
	data, done, err := s.Next(t.Context(), out)
	require.NoError(t, err)
	require.True(t, done)
	require.Nil(t, data)
	require.Equal(t, Identity{AuthcID: "tim"}, s.Identity())

	// §4, second example: Kurt may not act as Ursel.
	c = newClient(t, Plain(), &ClientConfig{Username: "Kurt", AuthzID: "Ursel", Password: "xipj3plmq", Secure: true})
	out, _, err = c.Next(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, "Ursel\x00Kurt\x00xipj3plmq", string(out))
	fail(t, newServer(t, Plain(), cfg), string(out), InvalidAuthzid)
}
