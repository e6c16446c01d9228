package auth

import (
	"crypto/tls"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

func TestParseMechanisms(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "<mechanism>X-%d</mechanism>", i)
		}
		return b.String()
	}
	for name, c := range map[string]struct {
		in   string
		want []string
		err  error
	}{
		"order is kept":             {in: `<mechanism>SCRAM-SHA-1</mechanism><mechanism>PLAIN</mechanism>`, want: []string{"SCRAM-SHA-1", "PLAIN"}},
		"none":                      {},
		"all that a name may hold":  {in: `<mechanism>AZ-09_</mechanism>`, want: []string{"AZ-09_"}},
		"white space":               {in: "<mechanism>\n  PLAIN </mechanism>", want: []string{"PLAIN"}},
		"twice":                     {in: `<mechanism>PLAIN</mechanism><mechanism>PLAIN</mechanism>`, want: []string{"PLAIN"}},
		"malformed":                 {in: `<mechanism>plain</mechanism><mechanism/><mechanism>A B</mechanism><mechanism>PLAIN&lt;</mechanism><mechanism>ABCDEFGHIJKLMNOPQRSTU</mechanism><mechanism>Ä</mechanism>`},
		"longest":                   {in: `<mechanism>ABCDEFGHIJKLMNOPQRST</mechanism>`, want: []string{"ABCDEFGHIJKLMNOPQRST"}},
		"nested":                    {in: `<mechanism>PL<x/>AIN</mechanism>`, want: []string{"PLAIN"}},
		"§6.3.5 rule 3: extensions": {in: `<hostname xmlns='urn:xmpp:domain-based-name:1'>x</hostname><mechanism xmlns='urn:x'>EVIL</mechanism>`},
		"as many as can be": {in: many(maxMechanisms), want: func() (w []string) {
			for i := range maxMechanisms {
				w = append(w, fmt.Sprintf("X-%d", i))
			}
			return
		}()},
		"too many": {in: many(maxMechanisms + 1), err: ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseMechanisms(parse(t, `<mechanisms`+xmlns+`>`+c.in+`</mechanisms>`))
			require.ErrorIs(t, err, c.err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestParseTypes(t *testing.T) {
	const open, end = `<f><sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'>`, `</sasl-channel-binding></f>`
	for name, c := range map[string]struct {
		in   string
		want []string
	}{
		"two":               {open + `<channel-binding type='tls-exporter'/><channel-binding type='tls-server-end-point'/>` + end, []string{"tls-exporter", "tls-server-end-point"}},
		"empty":             {open + end, nil},
		"absent":            {`<f/>`, nil},
		"without a type":    {open + `<channel-binding/><channel-binding type=''/>` + end, nil},
		"twice":             {open + `<channel-binding type='a'/><channel-binding type='a'/>` + end, []string{"a"}},
		"another namespace": {open + `<channel-binding xmlns='urn:x' type='a'/>` + end, nil},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, parseTypes(parse(t, c.in)))
		})
	}
	require.Nil(t, parseTypes(nil))
	require.Len(t, parseTypes(parse(t, open+strings.Repeat(`<channel-binding type='a'/>`, 99)+end)), 1)
	var b strings.Builder
	for i := range 99 {
		fmt.Fprintf(&b, "<channel-binding type='t%d'/>", i)
	}
	require.Len(t, parseTypes(parse(t, open+b.String()+end)), maxTypes)
}

func TestWriteOffer(t *testing.T) {
	write := func(mechs []sasl.Mechanism, types ...string) string {
		w := stream.NewWriter(nil)
		writeOffer(&w, mechs)
		if types != nil {
			writeTypes(&w, types)
		}
		b, err := w.Bytes()
		require.NoError(t, err)
		return string(b)
	}
	require.Empty(t, write(nil))
	require.Equal(t, `<mechanisms`+xmlns+`><mechanism>SCRAM-SHA-256</mechanism></mechanisms>`, write([]sasl.Mechanism{scram}))
	require.Equal(t, `<mechanisms`+xmlns+`><mechanism>SCRAM-SHA-256-PLUS</mechanism><mechanism>SCRAM-SHA-256</mechanism></mechanisms>`+
		`<sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/></sasl-channel-binding>`,
		write([]sasl.Mechanism{scramPlus, scram}, "tls-exporter"))
}

func TestBindingsOf(t *testing.T) {
	all := map[string][]byte{"tls-server-end-point": {1}, "tls-unique": {2}, "tls-exporter": {3}, "x": {4}, "": {5}}
	types := func(s *stream.Security) (out []string) {
		for _, b := range bindingsOf(s) {
			out = append(out, b.Type)
		}
		return
	}
	require.Equal(t, []string{"tls-exporter", "tls-unique", "tls-server-end-point"}, types(&stream.Security{Version: tls.VersionTLS12, Bindings: all}))
	// S14, RFC 9266 §3: no tls-unique in TLS 1.3.
	require.Equal(t, []string{"tls-exporter", "tls-server-end-point"}, types(&stream.Security{Version: tls.VersionTLS13, Bindings: all}))
	require.Empty(t, types(&stream.Security{Bindings: all}))
	require.Empty(t, types(&stream.Security{Version: tls.VersionTLS13, Bindings: map[string][]byte{"tls-exporter": {}}}))
	require.Empty(t, types(nil))
}
