package bind_test

import (
	"context"
	"errors"
	"io"
	"net"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/bind"
)

// mute is a connection whose writes fail from a certain one on.
type mute struct {
	net.Conn
	from, writes int
}

var errMute = errors.New("cannot write")

func (m *mute) Write(b []byte) (int, error) {
	if m.writes++; m.writes >= m.from {
		return 0, errMute
	}
	return m.Conn.Write(b)
}

// What cannot be written ends the negotiation at once, whatever the peer has said meanwhile.
func TestBindCannotWrite(t *testing.T) {
	const trust = `<trust xmlns='urn:example:trust'/>`
	const end = `</stream:stream>`
	run := func(t *testing.T, script string, side func(net.Conn) <-chan result) {
		a, b := memconn.Pipe()
		defer a.Close()
		go io.Copy(io.Discard, a) // ends with the connection
		_, err := io.WriteString(a, script)
		require.NoError(t, err)
		// Header, authentication, header, and then it is about binding.
		r := within(t, side(&mute{Conn: b, from: 4}))
		require.ErrorIs(t, r.err, errMute)
	}
	t.Run("request", func(t *testing.T) {
		script := serverHeader + `<stream:features>` + trust + `</stream:features>` + trust + serverHeader + `<stream:features><bind` + bindNS + `/></stream:features>` + end
		run(t, script, func(conn net.Conn) <-chan result { return initiate(t, conn, account, nil, nil) })
	})
	for name, in := range map[string]string{"result": request, "refusal": badRequest} {
		t.Run(name, func(t *testing.T) {
			run(t, clientHeader+trust+clientHeader+in+end, func(conn net.Conn) <-chan result { return accept(t, conn, nil, nil) })
		})
	}
}

// Options that cannot be used end the stream even of a client that does not wait for an offer.
func TestServerOptionsOfARequestWithoutAnOffer(t *testing.T) {
	server := bind.Server(&bind.ServerOptions{Retries: 99})
	server.Advertise = nil // which would complain first
	a, b := memconn.Pipe()
	defer a.Close()
	go io.Copy(io.Discard, a) // ends with the connection
	done := make(chan error, 1)
	go func() { // ends with the connection
		_, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{
			Profile: profile, Domains: []jid.JID{domain}, Features: []stream.Feature{trusted(), server},
		})
		done <- err
	}()
	_, err := io.WriteString(a, clientHeader+`<trust xmlns='urn:example:trust'/>`+clientHeader+request)
	require.NoError(t, err)
	err = within(t, done)
	require.ErrorIs(t, err, bind.ErrOptions)
	require.ErrorIs(t, err, stream.InternalServerError)
}

// An error that ends the stream does so the first time.
func TestBind2FatalIsAskedOnce(t *testing.T) {
	calls := 0
	server := bind.Server(&bind.ServerOptions{Bind: func(context.Context, *stream.Negotiation, jid.JID) (jid.JID, error) {
		calls++
		return jid.JID{}, &stream.Error{Condition: stream.ResourceConstraint}
	}})
	_, srv := negotiate2(t, stream.UserAgent{}, nil, server)
	require.ErrorIs(t, srv.err, stream.ResourceConstraint)
	require.Equal(t, 1, calls)
}

// What rides in binding may ask for a restart; what all have reached shows in the outcome.
func TestBind2OutcomesAddUp(t *testing.T) {
	var log []string
	restarts := rider(&log)
	restarts.Inline[0].Accept = func(context.Context, *stream.Negotiation, *stream.Element, *stream.Writer) (stream.Outcome, error) {
		return stream.Outcome{Restart: true}, nil
	}
	restarts.Inline[0].Result = func(*stream.Negotiation, *stream.Element) (stream.Outcome, error) {
		return stream.Outcome{Restart: true}, nil
	}
	watch := func(headers *int, outcomes *[]stream.Outcome) *stream.Trace {
		return &stream.Trace{
			HeaderSent:  func(stream.Header) { *headers++ },
			FeatureDone: func(_ stream.Name, out stream.Outcome, _ error) { *outcomes = append(*outcomes, out) },
		}
	}
	var headers [2]int
	var outcomes [2][]stream.Outcome
	client, srv := negotiateTraced(t, stream.UserAgent{}, nil, bind.Server(nil), watch(&headers[0], &outcomes[0]), watch(&headers[1], &outcomes[1]), restarts)
	require.NoError(t, client.err)
	require.NoError(t, srv.err)
	want := []stream.Outcome{{Reached: stream.Authenticated | stream.Bound, Restart: true, Features: true}}
	require.Equal(t, [2]int{2, 2}, headers)
	require.Equal(t, [2][]stream.Outcome{want, want}, outcomes)
}

// An offer of something else in the namespace of Bind 2 is none.
func TestBind2OfferOfSomethingElse(t *testing.T) {
	a, b := memconn.Pipe()
	defer b.Close()
	cc := make(chan result, 1)
	go func() { // ends with the connection
		s, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{
			Profile: profile, To: domain, From: account, Features: []stream.Feature{inline(stream.UserAgent{}), bind.Client(nil)},
		})
		cc <- result{s, err}
	}()
	p := &peer{tb: t, conn: b}
	p.expect("'>")
	p.send(serverHeader + `<stream:features><trust xmlns='urn:example:trust'><inline><unbind xmlns='urn:xmpp:bind:0'/></inline></trust></stream:features>`)
	p.expect("<trust xmlns='urn:example:trust'/>") // with nothing in it
	p.send(`</stream:stream>`)
	_, err := p.end(cc)
	require.ErrorIs(t, err, stream.ErrPeerClosed)
}

// A server that asks for a sign of life while it binds gets it (XEP-0199), and the binding goes on.
func TestBindAnswersTheServer(t *testing.T) {
	a, b := memconn.Pipe()
	defer a.Close()
	const trust = `<trust xmlns='urn:example:trust'/>`
	_, err := io.WriteString(a, serverHeader+`<stream:features>`+trust+`</stream:features>`+trust+
		serverHeader+`<stream:features><bind`+bindNS+`/></stream:features>`+
		`<iq type='get' id='p' from='im.example'><ping xmlns='urn:xmpp:ping'/></iq><iq type='get' id='q'><ping xmlns='urn:xmpp:ping'/></iq>`)
	require.NoError(t, err)
	bound := initiate(t, b, account, nil, nil)
	read := ""
	for buf := make([]byte, 1024); !strings.Contains(read, "id='q'"); {
		n, err := a.Read(buf)
		require.NoError(t, err)
		read += string(buf[:n])
	}
	require.Regexp(t, `<iq[^>]* id='p' to='im.example' type='result'/>`, read)
	require.Regexp(t, `<iq[^>]* id='q' type='result'/>`, read)
	id := regexp.MustCompile(`<iq[^>]* type='set' id='([A-Z0-9]+)'`).FindStringSubmatch(read)
	require.Len(t, id, 2, read)
	_, err = io.WriteString(a, `<iq type='result' id='`+id[1]+`'><bind`+bindNS+`><jid>juliet@im.example/balcony</jid></bind></iq>`)
	require.NoError(t, err)
	r := within(t, bound)
	require.NoError(t, r.err)
	require.Equal(t, "juliet@im.example/balcony", r.session.LocalAddr().String())
}
