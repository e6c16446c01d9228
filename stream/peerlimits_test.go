package stream_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

// limits478 is the <limits/> of XEP-0478, examples 1 and 2.
const limits478 = `<limits xmlns="urn:xmpp:stream-limits:0">
    <max-bytes>10000</max-bytes>
    <idle-seconds>1800</idle-seconds>
  </limits>`

// limits is a <limits/> with these children.
func limits(children string) string {
	return `<limits xmlns='urn:xmpp:stream-limits:0'>` + children + `</limits>`
}

func TestParsePeerLimits(t *testing.T) {
	const big = 1<<32 - 1
	clamped := int(min(uint64(big), uint64(math.MaxInt)))
	for _, c := range []struct {
		xml   string
		bytes int
		idle  time.Duration
		ok    bool
	}{
		{limits478, 10_000, 30 * time.Minute, true}, // XEP-0478, examples 1 and 2
		// §3.1: either child can be absent.
		{limits(``), 0, 0, true},
		{limits(`<max-bytes>1</max-bytes>`), 1, 0, true},
		{limits(`<idle-seconds>1</idle-seconds>`), 0, time.Second, true},
		{limits(`<idle-seconds>1</idle-seconds><max-bytes>2</max-bytes>`), 2, time.Second, true},
		// What is not known is passed over.
		{limits(`<x xmlns='urn:example:x'>y</x>text<max-bytes x='1'>2</max-bytes><other/>`), 2, 0, true},
		{limits(`<max-bytes xmlns='urn:example:x'>5</max-bytes>`), 0, 0, true},
		{limits(`<max-bytes>` + "\r\n\t 007 \n" + `</max-bytes>`), 7, 0, true},
		{limits(`<max-bytes>&#49;<![CDATA[2]]>&#x33;</max-bytes>`), 123, 0, true},
		// §12: xs:unsignedInt.
		{limits(`<max-bytes>4294967295</max-bytes><idle-seconds>4294967295</idle-seconds>`), clamped, big * time.Second, true},
		{xml: limits(`<max-bytes>4294967296</max-bytes>`)},
		{xml: limits(`<idle-seconds>4294967296</idle-seconds>`)},
		{xml: limits(`<max-bytes>99999999999999999999999</max-bytes>`)},
		{xml: limits(`<max-bytes>` + strings.Repeat("0", 200) + `1</max-bytes>`)},
		{xml: limits(`<max-bytes>0</max-bytes>`)},
		{xml: limits(`<idle-seconds>000</idle-seconds>`)},
		{xml: limits(`<max-bytes/>`)},
		{xml: limits(`<max-bytes> </max-bytes>`)},
		{xml: limits(`<max-bytes>+1</max-bytes>`)},
		{xml: limits(`<max-bytes>-1</max-bytes>`)},
		{xml: limits(`<max-bytes>1.0</max-bytes>`)},
		{xml: limits(`<max-bytes>1e4</max-bytes>`)},
		{xml: limits(`<max-bytes>0x10</max-bytes>`)},
		{xml: limits(`<max-bytes>1_000</max-bytes>`)},
		{xml: limits(`<max-bytes>1 0</max-bytes>`)},
		{xml: limits(`<max-bytes>١٢</max-bytes>`)},
		{xml: limits("<max-bytes>\u00a01</max-bytes>")},
		{xml: limits(`<max-bytes>1<x/></max-bytes>`)},
		// One good and one bad child: nothing is known.
		{xml: limits(`<max-bytes>10000</max-bytes><idle-seconds>soon</idle-seconds>`)},
		{xml: limits(`<max-bytes>10000</max-bytes><max-bytes>10000</max-bytes>`)},
		{xml: limits(`<idle-seconds>1</idle-seconds><idle-seconds>2</idle-seconds>`)},
	} {
		el, err := stream.ParseElement([]byte(c.xml), nil)
		require.NoError(t, err, c.xml)
		bytes, idle, ok := stream.ParsePeerLimits(el)
		require.Equal(t, c.ok, ok, c.xml)
		require.Equal(t, c.bytes, bytes, c.xml)
		require.Equal(t, c.idle, idle, c.xml)
	}
}

// FuzzPeerLimits checks that whatever a peer announces is either understood, and
// then is in the range of the schema, or nothing at all.
func FuzzPeerLimits(f *testing.F) {
	f.Add(limits478)
	f.Add(limits(`<idle-seconds> 9 </idle-seconds>`))
	f.Add(limits(`<max-bytes>&#49;<![CDATA[2]]></max-bytes><max-bytes>-1</max-bytes>`))
	f.Fuzz(func(t *testing.T, in string) {
		el, err := stream.ParseElement([]byte(in), nil)
		if err != nil {
			return
		}
		bytes, idle, ok := stream.ParsePeerLimits(el)
		require.GreaterOrEqual(t, bytes, 0)
		require.GreaterOrEqual(t, idle, time.Duration(0))
		require.LessOrEqual(t, idle, math.MaxUint32*time.Second)
		require.Zero(t, idle%time.Second)
		if !ok {
			require.Zero(t, bytes)
			require.Zero(t, idle)
		}
		if uint64(bytes) > math.MaxUint32 {
			t.Fatalf("%d", bytes)
		}
	})
}

// signIn is a feature that authenticates anybody. Its outcome says whether the
// stream restarts, as after SASL, or features are sent anew, as after SASL 2.
func signIn(out stream.Outcome, result func(*stream.Negotiation)) stream.Feature {
	name := stream.Name{Space: "urn:example:login", Local: "login"}
	return stream.Feature{
		Name: name, Forbids: stream.Authenticated,
		Advertise: func(n *stream.Negotiation, w *stream.Writer) error { w.Start(name); w.End(); return nil },
		Accept: func(_ context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			n.SetIdentity(juliet)
			return out, n.Write(func(w *stream.Writer) { w.Start(name); w.End() })
		},
		Initiate: func(ctx context.Context, n *stream.Negotiation, _ *stream.Element) (stream.Outcome, error) {
			if err := n.Write(func(w *stream.Writer) { w.Start(name); w.End() }); err != nil {
				return stream.Outcome{}, err
			}
			_, err := n.Read(ctx)
			if err == nil && result != nil {
				result(n)
			}
			return out, err
		},
	}
}

// negotiated returns both ends of a stream, and all bytes that the server has
// sent on it.
func negotiated(t *testing.T, prof stream.Profile, client, server []stream.Feature, lim *stream.Limits) (c, s *stream.Session, wire *strings.Builder) {
	t.Helper()
	a, b := memconn.Pipe()
	wire = &strings.Builder{}
	trace := &stream.Trace{XMLReceived: func(b []byte) { wire.Write(b) }}
	type result struct {
		s   *stream.Session
		err error
	}
	accepted := make(chan result, 1)
	go func() { // ends with the negotiation
		s, err := stream.Accept(context.Background(), b, &stream.AcceptOptions{
			Profile: prof, Domains: []jid.JID{domain}, Features: server, Limits: lim,
		})
		accepted <- result{s, err}
	}()
	c, err := stream.Initiate(context.Background(), a, &stream.InitiateOptions{
		Profile: prof, To: domain, From: juliet.Bare(), Features: client, Trace: trace,
	})
	require.NoError(t, err)
	r := <-accepted
	require.NoError(t, r.err)
	t.Cleanup(func() {
		c.Abort(errors.New("test over"))
		r.s.Abort(errors.New("test over"))
	})
	return c, r.s, wire
}

// authenticating is a profile whose only goal is authentication.
var authenticating = stream.Profile{ContentNS: stream.NSClient, Goal: stream.Authenticated, InsecureGoal: true}

// XEP-0478 §4: the limits change with the features, whether they come with a
// restart (RFC 6120 §6.4.6) or without (XEP-0388 §2.6.1, where Bind 2 rides
// inside). §11: the client announces nothing.
func TestAdvertiseLimits(t *testing.T) {
	before := limits(`<max-bytes>4000</max-bytes><idle-seconds>90</idle-seconds>`)
	after := limits(`<max-bytes>12345</max-bytes><idle-seconds>90</idle-seconds>`)
	for name, out := range map[string]stream.Outcome{
		"restart":  {Reached: stream.Authenticated, Restart: true},
		"features": {Reached: stream.Authenticated, Features: true},
	} {
		t.Run(name, func(t *testing.T) {
			client, server, wire := negotiated(t, authenticating,
				[]stream.Feature{signIn(out, nil)},
				[]stream.Feature{stream.AdvertiseLimits(90*time.Second + 999*time.Millisecond), signIn(out, nil)},
				&stream.Limits{PreAuthElementBytes: 4000, ElementBytes: 12_345},
			)
			require.Equal(t, 1, strings.Count(wire.String(), before), wire)
			require.Equal(t, 1, strings.Count(wire.String(), after), wire)
			require.Less(t, strings.Index(wire.String(), before), strings.Index(wire.String(), after))

			bytes, idle := client.PeerLimits()
			require.Equal(t, 12_345, bytes)
			require.Equal(t, 90*time.Second, idle)
			bytes, idle = server.PeerLimits()
			require.Zero(t, bytes)
			require.Zero(t, idle)
		})
	}
}

// With the features of a real server: the limits before TLS, after it and after
// SASL 2 with Bind 2 inside (XEP-0386), where nothing restarts.
func TestAdvertiseLimitsWithBind2(t *testing.T) {
	ca, err := xtls.NewDevCA()
	require.NoError(t, err)
	certificate, err := ca.Issue("im.example")
	require.NoError(t, err)
	accounts := new(sasl.MemoryStore)
	require.NoError(t, accounts.Set(t.Context(), "juliet", "r0m30myr0m30"))
	client, _, wire := negotiated(t, stream.C2S(),
		[]stream.Feature{
			xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: ca.Pool()}),
			auth.SASL2Client(&auth.ClientOptions{Password: "r0m30myr0m30"}),
			bind.Client(nil),
		},
		[]stream.Feature{
			xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{certificate}}),
			auth.SASL2Server(&auth.ServerOptions{Store: accounts}),
			bind.Server(nil),
			stream.AdvertiseLimits(time.Hour),
		}, nil)
	require.Equal(t, 3, strings.Count(wire.String(), `</stream:features>`), wire)
	early, late := limits(`<max-bytes>8192</max-bytes><idle-seconds>3600</idle-seconds>`), limits(`<max-bytes>262144</max-bytes><idle-seconds>3600</idle-seconds>`)
	require.Equal(t, 1, strings.Count(wire.String(), early), wire)
	_, after, found := strings.Cut(wire.String(), `</success>`)
	require.True(t, found, wire)
	require.Contains(t, after, late)
	require.NotContains(t, after, `<iq `) // bound inside, not by RFC 6120 §7
	require.True(t, client.LocalAddr().IsFull())
	bytes, idle := client.PeerLimits()
	require.Equal(t, 256<<10, bytes)
	require.Equal(t, time.Hour, idle)
}

func TestAdvertiseLimitsValues(t *testing.T) {
	for _, c := range []struct {
		idle time.Duration
		want string
	}{
		{0, ``}, {-time.Second, ``},
		{time.Millisecond, `<idle-seconds>1</idle-seconds>`},
		{1999 * time.Millisecond, `<idle-seconds>1</idle-seconds>`},
		{math.MaxInt64, `<idle-seconds>4294967295</idle-seconds>`},
	} {
		_, _, wire := negotiated(t, bare, nil, []stream.Feature{stream.AdvertiseLimits(c.idle)}, &stream.Limits{ElementBytes: 10_000, PreAuthElementBytes: 20_000})
		require.Contains(t, wire.String(), limits(`<max-bytes>10000</max-bytes>`+c.want))
	}
}

// RFC 6120 §5.3.1: while STARTTLS is mandatory, nothing else is advertised.
func TestAdvertiseLimitsAwaitTLS(t *testing.T) {
	for _, c := range []struct {
		sec  *stream.Security
		want bool
	}{
		{nil, false}, {&stream.Security{Version: 0x0304}, true},
	} {
		synctest.Test(t, func(t *testing.T) {
			p, errs := acceptRaw(&stream.AcceptOptions{Features: []stream.Feature{stream.AdvertiseLimits(0)}, Security: c.sec})
			p.say(t, clientHeader+`</stream:stream>`)
			require.ErrorIs(t, <-errs, stream.ErrPeerClosed)
			p.Close()
			require.Equal(t, c.want, strings.Contains(p.all(t), limits(`<max-bytes>8192</max-bytes>`)))
		})
	}
}

// withFeatures is a client whose server has sent these features, and what the
// server hears of it from then on.
func withFeatures(t *testing.T, features string) (*stream.Session, *peer) {
	t.Helper()
	a, b := memconn.Pipe()
	p := newPeer(a)
	p.say(t, serverHeader+`<stream:features>`+features+`</stream:features>`)
	s, err := stream.Initiate(t.Context(), b, &stream.InitiateOptions{Profile: bare, To: domain, From: juliet})
	require.NoError(t, err)
	t.Cleanup(func() { s.Abort(errors.New("test over")) })
	return s, p
}

func TestPeerLimitsOfFeatures(t *testing.T) {
	for _, c := range []struct {
		features string
		bytes    int
		idle     time.Duration
	}{
		{limits478, 10_000, 30 * time.Minute}, // XEP-0478, example 1
		{``, 0, 0},
		{`<limits xmlns='urn:example:x'><max-bytes>1</max-bytes></limits>`, 0, 0},
		{limits(`<max-bytes>zero</max-bytes>`), 0, 0},
		{limits478 + limits478, 0, 0},
		{limits478 + limits(`<max-bytes>0</max-bytes>`), 0, 0},
		{limits478 + limits478 + limits478, 0, 0},
	} {
		s, _ := withFeatures(t, c.features)
		bytes, idle := s.PeerLimits()
		require.Equal(t, c.bytes, bytes, c.features)
		require.Equal(t, c.idle, idle, c.features)
		require.NoError(t, s.Send(t.Context(), raw(`<presence/>`)))
	}
}

// XEP-0198 §9.2: no features follow a session that was resumed inside SASL 2. What
// a stranger was told is not taken for what holds now, and what is known from
// before can be put in its place.
func TestPeerLimitsWithoutFeaturesAfterAuthentication(t *testing.T) {
	out := stream.Outcome{Reached: stream.Authenticated}
	server := []stream.Feature{stream.AdvertiseLimits(time.Minute), signIn(out, nil)}

	client, _, wire := negotiated(t, authenticating, []stream.Feature{signIn(out, nil)}, server, nil)
	require.Contains(t, wire.String(), limits(`<max-bytes>8192</max-bytes><idle-seconds>60</idle-seconds>`))
	bytes, idle := client.PeerLimits()
	require.Zero(t, bytes)
	require.Zero(t, idle)

	known := signIn(out, func(n *stream.Negotiation) { n.SetPeerLimits(70_000, time.Hour) })
	client, _, _ = negotiated(t, authenticating, []stream.Feature{known}, server, nil)
	bytes, idle = client.PeerLimits()
	require.Equal(t, 70_000, bytes)
	require.Equal(t, time.Hour, idle)

	nonsense := signIn(out, func(n *stream.Negotiation) { n.SetPeerLimits(-1, -1) })
	client, _, _ = negotiated(t, authenticating, []stream.Feature{nonsense}, server, nil)
	bytes, idle = client.PeerLimits()
	require.Zero(t, bytes)
	require.Zero(t, idle)
}

// message is a message of exactly n bytes.
func message(n int) raw {
	const empty = `<message><body></body></message>`
	return raw(`<message><body>` + strings.Repeat("x", n-len(empty)) + `</body></message>`)
}

// XEP-0478 §4: what exceeds the limit is not sent, in none of the ways there are;
// the stream goes on.
func TestTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withFeatures(t, limits(`<max-bytes>100</max-bytes>`))
		synctest.Wait()
		before := p.heard()
		_, queued := s.Counts()
		for _, send := range []func(stream.Appender) error{
			func(el stream.Appender) error { return s.Send(t.Context(), el) },
			s.TrySend,
			func(el stream.Appender) error { _, err := s.SendReceipt(t.Context(), el); return err },
		} {
			err := send(message(101))
			var e *stream.TooLargeError
			require.ErrorAs(t, err, &e)
			require.Equal(t, stream.TooLargeError{Size: 101, Limit: 100}, *e)
			require.EqualError(t, err, "stream: an element of 101 bytes, and the peer accepts 100")
		}
		_, after := s.Counts()
		require.Equal(t, queued, after)
		require.Zero(t, s.Queued())
		synctest.Wait()
		require.Equal(t, before, p.heard())

		require.NoError(t, s.Send(t.Context(), message(100)))
		synctest.Wait()
		require.Equal(t, before+string(message(100)), p.heard())
		require.NoError(t, s.Err())
	})
}

// XEP-0478 §3.1: the limit is on each first-level element.
func TestTooLargeIsAboutEachElement(t *testing.T) {
	s, _ := withFeatures(t, limits(`<max-bytes>100</max-bytes>`))
	require.NoError(t, s.Send(t.Context(), message(100)+" "+message(100)+message(60)))
	require.NoError(t, s.Send(t.Context(), `<iq><x xmlns='urn:example:x'><y><z/></y></x></iq>`+message(99)+raw(`<stream:error/>`)))
	for _, c := range []struct {
		el   raw
		size int
	}{
		{message(100) + message(102) + message(101), 102},
		// What cannot be told apart counts as one.
		{message(60) + "<message>" + message(60), 129},
		{message(60) + "<p:undeclared/>" + message(60), 135},
		{message(60) + "</stream:stream>" + message(60), 136},
		{message(60) + raw(strings.Repeat("x", 80)), 140},
	} {
		var e *stream.TooLargeError
		require.ErrorAs(t, s.Send(t.Context(), c.el), &e, "%s", c.el)
		require.Equal(t, c.size, e.Size, "%s", c.el)
	}
}

// Obeying costs nothing while elements fit.
func TestPeerLimitsCostNothing(t *testing.T) {
	s, _ := withFeatures(t, limits(`<max-bytes>100</max-bytes>`))
	free, _ := withFeatures(t, ``)
	var el stream.Appender = message(80)
	allocs := func(s *stream.Session) float64 {
		return testing.AllocsPerRun(20, func() { _ = s.TrySend(el) })
	}
	require.InDelta(t, allocs(free), allocs(s), 3)
}

func ExampleAdvertiseLimits() {
	a, b := memconn.Pipe()
	go func() { // ends with the connection
		_, _ = stream.Accept(context.Background(), b, &stream.AcceptOptions{
			Profile: bare, Domains: []jid.JID{domain},
			Features: []stream.Feature{stream.AdvertiseLimits(30 * time.Minute)},
		})
	}()
	s, err := stream.Initiate(context.Background(), a, &stream.InitiateOptions{Profile: bare, To: domain})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer s.Abort(io.EOF)
	fmt.Println(s.PeerLimits())
	fmt.Println(s.TrySend(message(9000)))
	// Output:
	// 8192 30m0s
	// stream: an element of 9000 bytes, and the peer accepts 8192
}
