package entitytime_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

var juliet = jid.MustParse("juliet@montague.net/balcony")

func parse(t testing.TB, xml string) *stream.Element {
	t.Helper()
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(t, err, "%s", xml)
	return el
}

// decode reads an iq as it is printed in the specification.
func decode(t testing.TB, xml string) *stanza.IQ {
	t.Helper()
	iq := new(stanza.IQ)
	require.NoError(t, iq.DecodeElement(parse(t, "<iq xmlns='jabber:client'"+xml[len("<iq"):])))
	return iq
}

// peer answers a request with what is in its iq, or with an error.
type peer struct {
	t      *testing.T
	answer string
	err    error
	asked  string
}

func (p *peer) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	q := *iq
	q.ID = "1"
	b, err := q.AppendXML(nil)
	require.NoError(p.t, err)
	p.asked = string(b)
	if p.err != nil {
		return nil, p.err
	}
	return decode(p.t, "<iq type='result' id='1'>"+p.answer+"</iq>"), nil
}

// sender records what a handler sends.
type sender struct{ sent []string }

func (s *sender) Send(_ context.Context, st stanza.Stanza) error {
	b, err := st.AppendXML(nil)
	s.sent = append(s.sent, string(b))
	return err
}

func (*sender) Do(context.Context, *stanza.IQ) (*stanza.IQ, error) {
	return nil, errors.New("not here")
}

// ask dispatches a request to a module and returns the answer.
func ask(t *testing.T, mod stanza.Module, request string) string {
	t.Helper()
	var mux stanza.Mux
	require.NoError(t, stanza.Install(&mux, mod))
	s := &sender{}
	require.NoError(t, stanza.Dispatch(t.Context(), &mux, s, decode(t, request)))
	require.Len(t, s.sent, 1)
	return s.sent[0]
}

const unavailable = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"

// refused is an error that somebody else has sent.
var refused = &stanza.Error{Condition: stanza.ServiceUnavailable, Received: true}

// loopback writes a stanza and reads it again, as a connection does.
func loopback(iq *stanza.IQ) (*stanza.IQ, error) {
	b, err := stanza.Qualified(iq, stream.NSClient).AppendXML(nil)
	if err != nil {
		return nil, err
	}
	el, err := stream.ParseElement(b, nil)
	if err != nil {
		return nil, err
	}
	got := new(stanza.IQ)
	return got, got.DecodeElement(el)
}
