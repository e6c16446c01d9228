package sasl

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// refOfferHash hashes the string that a test spells out.
func refOfferHash(h Hash, s string) string {
	d := refHash(h)()
	d.Write([]byte(s))
	return b64(d.Sum(nil))
}

// TestOfferHash: XEP-0474 §6.1: what is hashed.
func TestOfferHash(t *testing.T) {
	for _, row := range []struct {
		name         string
		mechs, types []string
		want         string
	}{
		{"the example", []string{"SCRAM-SHA-1", "SCRAM-SHA-1-PLUS"}, []string{"tls-server-end-point", "tls-exporter"},
			"SCRAM-SHA-1\x1eSCRAM-SHA-1-PLUS\x1ftls-exporter\x1etls-server-end-point"},
		{"unsorted", []string{"SCRAM-SHA-512", "PLAIN", "SCRAM-SHA-1-PLUS", "EXTERNAL", "SCRAM-SHA-1"}, nil,
			"EXTERNAL\x1ePLAIN\x1eSCRAM-SHA-1\x1eSCRAM-SHA-1-PLUS\x1eSCRAM-SHA-512"},
		{"i;octet", []string{"a", "B", "é", "b", "A1", "A", "A-"}, nil, "A\x1eA-\x1eA1\x1eB\x1ea\x1eb\x1eé"},
		{"no types announced", []string{"PLAIN"}, nil, "PLAIN"},
		{"no types announced, empty", []string{"PLAIN"}, []string{}, "PLAIN"},
		{"one of each", []string{"PLAIN"}, []string{"tls-unique"}, "PLAIN\x1ftls-unique"},
		{"doubles count", []string{"X", "X"}, []string{"y", "y"}, "X\x1eX\x1fy\x1ey"},
		{"nothing", nil, nil, ""},
	} {
		for _, h := range hashes {
			t.Run(row.name+"/"+string(h), func(t *testing.T) {
				mechs, types := slices.Clone(row.mechs), slices.Clone(row.types)
				got, err := offerHash(h, row.mechs, row.types)
				require.NoError(t, err)
				require.Equal(t, refOfferHash(h, row.want), got)
				require.Equal(t, mechs, row.mechs, "the arguments are left alone")
				require.Equal(t, types, row.types)
			})
		}
	}
	// Two offers must not have one hash.
	for _, names := range [][]string{{"A\x1eB"}, {"A\x1fB"}, {"A", "\x1e"}} {
		_, err := offerHash(SHA1, names, nil)
		require.ErrorIs(t, err, ErrConfig)
		_, err = offerHash(SHA1, nil, names)
		require.ErrorIs(t, err, ErrConfig)
	}
}

// TestProtections is about the attributes "h" and "t" one by one.
func TestProtections(t *testing.T) {
	offered, types := []string{"SCRAM-SHA-256", "X"}, []string{TLSExporter}
	h := refOfferHash(SHA256, "SCRAM-SHA-256\x1eX\x1ftls-exporter")
	for _, row := range []struct {
		name    string
		tail    string
		offered []string
		tls     uint16
		want    error
	}{
		{"XEP-0474 §6.2: match", ",h=" + h, offered, 0, nil},
		{"absent", "", offered, 0x0304, nil},
		{"after another extension", ",x=y,h=" + h + ",z=1", offered, 0, nil},
		{"XEP-0474 §6.2: other list", ",h=" + refOfferHash(SHA256, "SCRAM-SHA-256\x1ftls-exporter"), offered, 0, ErrDowngrade},
		{"types not in it", ",h=" + refOfferHash(SHA256, "SCRAM-SHA-256\x1eX"), offered, 0, ErrDowngrade},
		{"hash of another mechanism", ",h=" + refOfferHash(SHA1, "SCRAM-SHA-256\x1eX\x1ftls-exporter"), offered, 0, ErrDowngrade},
		{"not base64", ",h=!!!!", offered, 0, ErrDowngrade},
		{"no padding", ",h=" + strings.TrimRight(h, "="), offered, 0, ErrDowngrade},
		{"longer", ",h=" + h + "AAAA", offered, 0, ErrDowngrade},
		{"shorter", ",h=" + h[:40], offered, 0, ErrDowngrade},
		{"other case", ",h=" + strings.ToLower(h), offered, 0, ErrDowngrade},
		{"empty", ",h=", offered, 0, errGrammar},
		{"twice", ",h=" + h + ",h=" + h, offered, 0, errGrammar},
		{"twice, the first wrong", ",h=AAAA,h=" + h, offered, 0, errGrammar},
		{"line break", ",h=" + h[:10] + "\n" + h[10:], offered, 0, ErrDowngrade},
		{"capital letter is another attribute", ",H=AAAA", offered, 0, nil},
		{"a name that cannot be", ",h=" + h, []string{"SCRAM-SHA-256\x1eX"}, 0, ErrDowngrade},
		{"no offer to compare with", ",h=AAAA", nil, 0, nil},
		{"no offer to compare with, twice", ",h=AAAA,h=AAAA", nil, 0, errGrammar},
		{"XEP-0515 §4.2: match", ",h=" + h + ",t=0304", offered, 0x0304, nil},
		{"t before h", ",t=0303,h=" + h, offered, 0x0303, nil},
		{"t without h", ",t=0303", offered, 0x0303, nil},
		{"XEP-0515 §4.2: lower version", ",h=" + h + ",t=0303", offered, 0x0304, ErrDowngrade},
		{"XEP-0515 §4.2: higher version", ",t=0304", offered, 0x0303, ErrDowngrade},
		{"not compared", ",t=0303", offered, 0, nil},
		{"hexadecimal digits, and lower case", ",t=0ABC", offered, 0x0abc, ErrDowngrade},
		{"lower case", ",t=0abc", offered, 0x0abc, nil},
		{"three digits", ",t=304", offered, 0x0304, ErrDowngrade},
		{"five digits", ",t=00304", offered, 0x0304, ErrDowngrade},
		{"prefix", ",t=0x0304", offered, 0x0304, ErrDowngrade},
		{"not a number", ",t=TLS1", offered, 0x0304, ErrDowngrade},
		{"empty t", ",t=", offered, 0x0304, errGrammar},
		{"t twice", ",t=0304,t=0304", offered, 0x0304, errGrammar},
		{"t twice, not compared", ",t=0304,t=0304", offered, 0, errGrammar},
	} {
		t.Run("client/"+row.name, func(t *testing.T) {
			asked := false
			c := newClient(t, Scram(SHA256), &ClientConfig{Username: testUser, Offered: row.offered, OfferedTypes: types, TLSVersion: row.tls,
				nonce: "abc", GetPassword: func(context.Context) (string, error) { asked = true; return testPassword, nil }})
			send(t, c, nil)
			challenge := "r=abcd,s=" + b64(testSalt) + ",i=4096" + row.tail
			if row.want != nil {
				fail(t, c, challenge, Aborted, row.want)
				require.False(t, asked, "before any proof, and any work")
				return
			}
			require.Equal(t, sign(SHA256, "n,,n=user,r=abc", challenge, "c=biws,r=abcd"), string(send(t, c, []byte(challenge))))
		})
	}
	for _, row := range []struct {
		name           string
		offered, types []string
		tls            uint16
		tail           string
	}{
		{"nothing told", nil, types, 0, ""},
		{"XEP-0474 §6.1", offered, types, 0, ",h=" + h},
		{"no types", offered, nil, 0, ",h=" + refOfferHash(SHA256, "SCRAM-SHA-256\x1eX")},
		{"empty offer", []string{}, nil, 0, ",h=" + refOfferHash(SHA256, "")},
		{"XEP-0515 §4.1", offered, types, 0x0304, ",h=" + h + ",t=0304"},
		{"leading zeros", nil, nil, 0x1, ",t=0001"},
		{"lower case", nil, nil, 0xfefd, ",t=fefd"},
	} {
		t.Run("server/"+row.name, func(t *testing.T) {
			cfg := serverConfigNoBinding()
			cfg.Offered, cfg.OfferedTypes, cfg.TLSVersion, cfg.nonce = row.offered, row.types, row.tls, "d"
			first := "n,,n=user,r=abc"
			s := newServer(t, Scram(SHA256), cfg)
			challenge := string(send(t, s, []byte(first)))
			require.Equal(t, "r=abcd,s="+b64(testSalt)+",i=4096"+row.tail, challenge)
			// A client that knows nothing of this logs in.
			_, done, err := s.Next(t.Context(), []byte(sign(SHA256, first, challenge, "c=biws,r=abcd")))
			require.NoError(t, err)
			require.True(t, done)
			// Names without an account get the same.
			other := string(send(t, newServer(t, Scram(SHA256), cfg), []byte("n,,n=nobody,r=abc")))
			require.True(t, strings.HasSuffix(other, ",i=4096"+row.tail))
		})
	}
	t.Run("server/a name that cannot be", func(t *testing.T) {
		cfg := serverConfig()
		cfg.Offered = []string{"A\x1eB"}
		_, err := Scram(SHA256).NewServer(cfg)
		require.ErrorIs(t, err, ErrConfig)
		cfg.Offered, cfg.OfferedTypes = []string{"A"}, []string{"x\x1fy"}
		_, err = ScramPlus(SHA256).NewServer(cfg)
		require.ErrorIs(t, err, TemporaryAuthFailure)
	})
}

// TestOfferTampered: XEP-0474 §5: somebody between the two edits the offer, and the attribute with it.
func TestOfferTampered(t *testing.T) {
	offered := []string{"PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256", "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS"}
	types := []string{TLSExporter, TLSServerEndPoint}
	strip := func(names []string, without ...string) []string {
		return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return slices.Contains(without, n) })
	}
	for _, row := range []struct {
		name          string
		seen, seenTyp []string
		mech          Mechanism
	}{
		{"strong hashes taken away", strip(offered, "SCRAM-SHA-512", "SCRAM-SHA-512-PLUS", "SCRAM-SHA-256"), nil, Scram(SHA1)},
		{"bindings taken away", strip(offered, "SCRAM-SHA-512-PLUS"), nil, Scram(SHA512)},
		{"type taken away", offered, []string{TLSServerEndPoint}, ScramPlus(SHA512)},
		{"types taken away", offered, nil, ScramPlus(SHA512)},
		{"type added", offered, append(slices.Clone(types), "x"), ScramPlus(SHA512)},
		{"mechanism added", append(slices.Clone(offered), "X-WEAK"), types, ScramPlus(SHA512)},
		{"name repeated", append(slices.Clone(offered), "PLAIN"), types, ScramPlus(SHA512)},
	} {
		t.Run(row.name, func(t *testing.T) {
			begin := func() (Client, Server, string) {
				ccfg, scfg := scramConfig(row.mech), serverConfig()
				ccfg.Offered, ccfg.OfferedTypes, scfg.Offered, scfg.OfferedTypes = row.seen, row.seenTyp, offered, types
				c, s := newClient(t, row.mech, ccfg), newServer(t, row.mech, scfg)
				return c, s, string(send(t, s, send(t, c, nil)))
			}
			c, _, challenge := begin()
			fail(t, c, challenge, Aborted, ErrDowngrade)
			// The attribute is edited too, or removed: the client goes on, and the server refuses the proof.
			want, err := offerHash(row.mech.Hash, row.seen, row.seenTyp)
			require.NoError(t, err)
			for _, tail := range []string{",h=" + want, "", ",x=y"} {
				c, s, challenge := begin()
				before, _, found := strings.Cut(challenge, ",h=")
				require.True(t, found)
				fail(t, s, string(send(t, c, []byte(before+tail))), NotAuthorized)
			}
		})
	}
	t.Run("untouched", func(t *testing.T) {
		for _, m := range []Mechanism{ScramPlus(SHA512), Scram(SHA1)} {
			ccfg, scfg := scramConfig(m), serverConfig()
			ccfg.Offered, ccfg.OfferedTypes, ccfg.TLSVersion = offered, types, 0x0304
			scfg.Offered, scfg.OfferedTypes, scfg.TLSVersion = offered, types, 0x0304
			require.NoError(t, run(t, newClient(t, m, ccfg), newServer(t, m, scfg)))
			// XEP-0515 §1.1: TLS 1.3 on one side of the attacker, 1.2 on the other.
			ccfg.TLSVersion = 0x0303
			require.ErrorIs(t, run(t, newClient(t, m, ccfg), newServer(t, m, scfg)), ErrDowngrade)
		}
	})
}
