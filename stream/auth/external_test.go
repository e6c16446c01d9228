package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

var domain = jid.MustParse("im.example")

// certificate is the TLS layer below a client that presented a certificate for addresses.
func certificate(v stream.Verdict, addrs ...string) *stream.Security {
	sec := &stream.Security{Version: tls.VersionTLS13, Verified: true, Verdict: v, PeerChain: []*x509.Certificate{{}}}
	for _, a := range addrs {
		sec.XMPPAddrs = append(sec.XMPPAddrs, jid.MustParse(a))
	}
	return sec
}

// RFC 6120 §13.7.2.2, XEP-0178 §2: whose a certificate is.
func TestExternal(t *testing.T) {
	const none, one, two, foreign = "none", "one", "two", "foreign"
	addrs := map[string][]string{
		none:    nil,
		one:     {"juliet@im.example"},
		two:     {"juliet@im.example", "nurse@im.example"},
		foreign: {"juliet@other.example"},
		"mixed": {"romeo@other.example", "juliet@im.example", "juliet@im.example"},
		// Neither is the address of an account.
		"server": {"im.example"},
		"full":   {"juliet@im.example/balcony"},
	}
	// The program knows this certificate.
	toTybalt := func(_ context.Context, _ *stream.Security, _ jid.JID) (jid.JID, error) {
		return jid.MustParse("tybalt@im.example"), nil
	}
	var asked jid.JID
	toAsked := func(_ context.Context, _ *stream.Security, a jid.JID) (jid.JID, error) {
		asked = a
		return a, nil
	}
	toElsewhere := func(context.Context, *stream.Security, jid.JID) (jid.JID, error) {
		return jid.MustParse("juliet@other.example"), nil
	}
	fails := func(err error) func(context.Context, *stream.Security, jid.JID) (jid.JID, error) {
		return func(context.Context, *stream.Security, jid.JID) (jid.JID, error) { return jid.JID{}, err }
	}
	never := func(context.Context, *stream.Security, jid.JID) (jid.JID, error) {
		t.Error("the certificate says who it is for")
		return jid.JID{}, nil
	}
	// That nobody is let in as somebody else is for authorize: here it is what the certificate is for.
	for name, c := range map[string]struct {
		cert    string
		verdict stream.Verdict // zero: Anchored
		authzid string
		from    string
		mapping func(context.Context, *stream.Security, jid.JID) (jid.JID, error)
		want    string // empty: err
		err     error
		asked   string
	}{
		"sub-case 1: one":                        {cert: one, mapping: never, want: "juliet"},
		"sub-case 1: one, and says so":           {cert: one, authzid: "juliet@im.example", want: "juliet"},
		"sub-case 1: one, and means another":     {cert: one, authzid: "romeo@im.example", want: "juliet"},
		"sub-case 1: one, from is another":       {cert: one, from: "romeo@im.example", want: "juliet"},
		"sub-case 1: one of ours":                {cert: "mixed", mapping: never, want: "juliet"},
		"sub-case 2: authzid chooses":            {cert: two, authzid: "nurse@im.example", mapping: never, want: "nurse"},
		"sub-case 2: authzid before from":        {cert: two, authzid: "nurse@im.example", from: "juliet@im.example", want: "nurse"},
		"sub-case 2: from chooses":               {cert: two, from: "nurse@im.example", want: "nurse"},
		"sub-case 2: full from":                  {cert: two, from: "nurse@im.example/x", want: "nurse"},
		"sub-case 2: nothing chooses":            {cert: two, mapping: never, err: sasl.InvalidAuthzid},
		"sub-case 2: authzid is neither":         {cert: two, authzid: "romeo@im.example", err: sasl.InvalidAuthzid},
		"sub-case 2: authzid is neither, but":    {cert: two, authzid: "romeo@im.example", from: "nurse@im.example", err: sasl.InvalidAuthzid},
		"sub-case 2: from is neither":            {cert: two, from: "romeo@im.example", err: sasl.InvalidAuthzid},
		"sub-case 3: none":                       {cert: none, err: sasl.NotAuthorized},
		"sub-case 3: none, from":                 {cert: none, from: "juliet@im.example", err: sasl.NotAuthorized},
		"sub-case 3: none, authzid":              {cert: none, authzid: "juliet@im.example", err: sasl.NotAuthorized},
		"sub-case 3: not ours":                   {cert: foreign, err: sasl.NotAuthorized},
		"sub-case 3: not ours, authzid":          {cert: foreign, authzid: "juliet@im.example", err: sasl.NotAuthorized},
		"sub-case 3: a server's":                 {cert: "server", err: sasl.NotAuthorized},
		"sub-case 3: a full JID":                 {cert: "full", err: sasl.NotAuthorized},
		"sub-case 3: mapped":                     {cert: none, mapping: toTybalt, want: "tybalt"},
		"sub-case 3: mapped, not ours":           {cert: foreign, mapping: toTybalt, want: "tybalt"},
		"sub-case 3: mapped, authzid another":    {cert: none, authzid: "juliet@im.example", mapping: toTybalt, want: "tybalt"},
		"sub-case 3: mapping sees authzid":       {cert: none, authzid: "romeo@im.example", from: "juliet@im.example", mapping: toAsked, want: "romeo", asked: "romeo@im.example"},
		"sub-case 3: mapping sees from":          {cert: none, from: "juliet@im.example/x", mapping: toAsked, want: "juliet", asked: "juliet@im.example"},
		"sub-case 3: mapping sees the domain":    {cert: none, mapping: toAsked, err: sasl.NotAuthorized, asked: "im.example"},
		"sub-case 3: mapping, from of another":   {cert: none, from: "juliet@other.example", mapping: toAsked, err: sasl.NotAuthorized, asked: "im.example"},
		"sub-case 3: mapping fails":              {cert: none, mapping: fails(errors.New("no")), err: errors.New("no")},
		"sub-case 3: mapping fails with sasl":    {cert: none, mapping: fails(&sasl.Error{Condition: sasl.AccountDisabled}), err: sasl.AccountDisabled},
		"sub-case 3: mapped to nobody":           {cert: none, mapping: fails(nil), err: sasl.NotAuthorized},
		"sub-case 3: mapped to another domain":   {cert: none, mapping: toElsewhere, err: sasl.NotAuthorized},
		"case 2: unknown authority":              {cert: one, verdict: stream.UnknownAuthority, err: sasl.NotAuthorized},
		"case 2: unknown authority, mapped":      {cert: one, verdict: stream.UnknownAuthority, mapping: toTybalt, want: "tybalt"},
		"case 3: self-signed":                    {cert: one, verdict: stream.SelfSigned, err: sasl.NotAuthorized},
		"case 3: self-signed, mapped":            {cert: one, verdict: stream.SelfSigned, mapping: toTybalt, want: "tybalt"},
		"case 3: self-signed, says who":          {cert: two, verdict: stream.SelfSigned, authzid: "nurse@im.example", err: sasl.NotAuthorized},
		"expired, and a policy that accepts it":  {cert: one, verdict: stream.Anchored | stream.WrongTime, err: sasl.NotAuthorized},
		"revoked, and a policy that accepts it":  {cert: one, verdict: stream.Anchored | stream.Revoked, err: sasl.NotAuthorized},
		"§6.3.8 authzid of another domain":       {cert: one, authzid: "juliet@other.example", err: sasl.InvalidAuthzid},
		"§6.3.8 authzid that is full":            {cert: one, authzid: "juliet@im.example/x", err: sasl.InvalidAuthzid},
		"§6.3.8 authzid that is a domain":        {cert: one, authzid: "im.example", err: sasl.InvalidAuthzid},
		"§6.3.8 authzid that is no JID":          {cert: one, authzid: "a@b@c", err: sasl.InvalidAuthzid},
		"§6.3.8 authzid before mapping":          {cert: none, authzid: "juliet@other.example", mapping: never, err: sasl.InvalidAuthzid},
		"authzid is compared as a JID, prepared": {cert: two, authzid: "NURSE@IM.example", want: "nurse"},
	} {
		t.Run(name, func(t *testing.T) {
			asked = jid.JID{}
			v := stream.Anchored
			if c.verdict != 0 {
				v = c.verdict
			}
			var from jid.JID
			if c.from != "" {
				from = jid.MustParse(c.from)
			}
			o := &ServerOptions{MapCertificate: c.mapping}
			who, err := o.external(t.Context(), certificate(v, addrs[c.cert]...), domain, from, c.authzid)
			if c.asked != "" {
				require.Equal(t, c.asked, asked.String())
			}
			if c.want == "" {
				require.Zero(t, who)
				var condition sasl.Condition
				if errors.As(c.err, &condition) {
					require.ErrorIs(t, err, c.err)
				} else {
					require.Equal(t, c.err, err)
				}
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want+"@im.example", who.String())
		})
	}
}

// RFC 6120 §6.3.4: EXTERNAL is offered to those who can use it. Refused if tried all the same (S25).
func TestCanExternal(t *testing.T) {
	hook := func(context.Context, *stream.Security, jid.JID) (jid.JID, error) {
		return jid.MustParse("juliet@im.example"), nil
	}
	edit := func(f func(*stream.Security)) *stream.Security {
		sec := certificate(stream.Anchored, "juliet@im.example")
		f(sec)
		return sec
	}
	for name, c := range map[string]struct {
		sec          *stream.Security
		alone, hook  bool // offered without and with MapCertificate
		withoutStore bool
	}{
		"address":         {sec: certificate(stream.Anchored, "juliet@im.example"), alone: true, hook: true},
		"no accounts":     {sec: certificate(stream.Anchored, "juliet@im.example"), withoutStore: true, hook: true},
		"no address":      {sec: certificate(stream.Anchored), hook: true},
		"not ours":        {sec: certificate(stream.Anchored, "juliet@other.example"), hook: true},
		"self-signed":     {sec: certificate(stream.SelfSigned, "juliet@im.example"), hook: true},
		"not verified":    {sec: edit(func(s *stream.Security) { s.Verified = false })},
		"no certificate":  {sec: edit(func(s *stream.Security) { s.PeerChain = nil })},
		"no TLS":          {sec: edit(func(s *stream.Security) { s.Version = 0 })},
		"nothing at all":  {sec: &stream.Security{}},
		"nobody said yes": {sec: &stream.Security{Version: tls.VersionTLS13, PeerChain: []*x509.Certificate{{}}, XMPPAddrs: []jid.JID{jid.MustParse("juliet@im.example")}}},
	} {
		t.Run(name, func(t *testing.T) {
			o := &ServerOptions{}
			require.Equal(t, c.alone, o.canExternal(c.sec, domain, !c.withoutStore))
			o.MapCertificate = hook
			require.Equal(t, c.hook, o.canExternal(c.sec, domain, !c.withoutStore))
			if !c.hook {
				require.Empty(t, certified(c.sec, domain))
				_, err := o.external(t.Context(), c.sec, domain, jid.JID{}, "")
				require.ErrorIs(t, err, sasl.NotAuthorized)
			}
		})
	}
}

// C13: names in the distinguished name are nobody's names, however they are written.
func TestDistinguishedNameIsNotParsed(t *testing.T) {
	names := []pkix.Name{
		{CommonName: "admin"},
		{CommonName: "admin@im.example"},
		{OrganizationalUnit: []string{"CN=admin,"}},
		{OrganizationalUnit: []string{"x,CN=admin@im.example"}, CommonName: "eve"},
		{Organization: []string{"\x00CN=admin"}, SerialNumber: "CN=admin"},
		{ExtraNames: []pkix.AttributeTypeAndValue{{Type: []int{0, 9, 2342, 19200300, 100, 1, 1}, Value: "admin"}}},
	}
	for _, name := range names {
		for _, from := range []jid.JID{{}, jid.MustParse("admin@im.example")} {
			for _, authzid := range []string{"", "admin@im.example"} {
				sec := certificate(stream.Anchored)
				sec.PeerChain[0] = &x509.Certificate{Subject: name, EmailAddresses: []string{"admin@im.example"}, DNSNames: []string{"admin.im.example"}}
				sec.Identities = []string{"admin@im.example"}
				o := &ServerOptions{}
				require.False(t, o.canExternal(sec, domain, true))
				_, err := o.external(t.Context(), sec, domain, from, authzid)
				require.ErrorIs(t, err, sasl.NotAuthorized)

				// Beside an address, it changes nothing.
				sec.XMPPAddrs = []jid.JID{jid.MustParse("eve@im.example")}
				who, err := o.external(t.Context(), sec, domain, from, authzid)
				require.NoError(t, err)
				require.Equal(t, "eve@im.example", who.String())
			}
		}
	}
}

// Whatever a client asks to be, it becomes what its certificate is for or what it asked for among that,
// an account of the stream's domain in any case.
func FuzzExternal(f *testing.F) {
	for _, s := range []string{"", "juliet@im.example", "nurse@im.example", "romeo@im.example", "juliet@other.example", "im.example", "@", "a@b/c", "\x00"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, authzid, header string) {
		from, _ := jid.Parse(header)
		o := &ServerOptions{}
		for _, addrs := range [][]string{{"juliet@im.example"}, {"juliet@im.example", "nurse@im.example"}, {"juliet@other.example"}, nil} {
			sec := certificate(stream.Anchored, addrs...)
			who, err := o.external(t.Context(), sec, domain, from, authzid)
			if err != nil {
				require.Zero(t, who)
				continue
			}
			require.Contains(t, addrs, who.String())
			require.Equal(t, domain, who.DomainJID())
		}
	})
}

// hashStore knows one account, by keys for one hash.
type hashStore struct {
	hash sasl.Hash
	err  error // what it says of others
}

func (s hashStore) Keys(_ context.Context, username string, h sasl.Hash) (sasl.Keys, string, error) {
	if username == "juliet" && h == s.hash {
		return sasl.Keys{}, "", nil
	}
	return sasl.Keys{}, "", s.err
}

// listingStore tells which hash it has keys for.
type listingStore struct{ hashStore }

func (s listingStore) Hashes() []sasl.Hash { return []sasl.Hash{s.hash} }

// XEP-0178 §2: registered accounts, whatever they have keys for.
func TestRegistered(t *testing.T) {
	juliet, tybalt := jid.MustParse("juliet@im.example"), jid.MustParse("tybalt@im.example")
	broken := errors.New("broken")
	for _, h := range []sasl.Hash{sasl.SHA1, sasl.SHA256, sasl.SHA512, sasl.SHA3_512} {
		for _, s := range []sasl.KeyStore{hashStore{h, sasl.ErrUnknownUser}, listingStore{hashStore{h, broken}}} {
			require.NoError(t, registered(t.Context(), s, juliet), "%s", h)
		}
		require.ErrorIs(t, registered(t.Context(), hashStore{h, sasl.ErrUnknownUser}, tybalt), sasl.NotAuthorized)
	}
	err := registered(t.Context(), hashStore{sasl.SHA256, broken}, tybalt)
	require.ErrorIs(t, err, sasl.TemporaryAuthFailure)
	require.ErrorIs(t, err, broken)
	require.ErrorIs(t, registered(t.Context(), nil, juliet), sasl.NotAuthorized)
}
