// Package topictest is what the tests of small topics have in common: a peer that
// answers as the examples of a specification do, and a way to ask a module. Only tests
// import it.
package topictest

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Juliet is the one who is asked.
var Juliet = jid.MustParse("juliet@montague.net/balcony")

// Parse reads an element.
func Parse(t testing.TB, xml string) *stream.Element {
	t.Helper()
	el, err := stream.ParseElement([]byte(xml), nil)
	require.NoError(t, err, "%s", xml)
	return el
}

// Decode reads an iq as it is printed in the specification.
func Decode(t testing.TB, xml string) *stanza.IQ {
	t.Helper()
	iq := new(stanza.IQ)
	require.NoError(t, iq.DecodeElement(Parse(t, "<iq xmlns='jabber:client'"+xml[len("<iq"):])))
	return iq
}

// Peer answers a request with Answer, which is what is in the iq, or with Err. Asked is
// the request, with the id 1.
type Peer struct {
	T      *testing.T
	Answer string
	Err    error
	Asked  string
}

// Do sends a request.
func (p *Peer) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	q := *iq
	q.ID = "1"
	b, err := q.AppendXML(nil)
	require.NoError(p.T, err)
	p.Asked = string(b)
	if p.Err != nil {
		return nil, p.Err
	}
	return Decode(p.T, "<iq type='result' id='1'>"+p.Answer+"</iq>"), nil
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

// Ask dispatches a request to a module and returns the answer.
func Ask(t *testing.T, mod stanza.Module, request string) string {
	t.Helper()
	var mux stanza.Mux
	require.NoError(t, stanza.Install(&mux, mod))
	s := &sender{}
	require.NoError(t, stanza.Dispatch(t.Context(), &mux, s, Decode(t, request)))
	require.Len(t, s.sent, 1)
	return s.sent[0]
}

// Unavailable is the error of a request that nobody answers.
const Unavailable = "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"

// Refused is an error that somebody else has sent.
var Refused = &stanza.Error{Condition: stanza.ServiceUnavailable, Received: true}

// Loopback writes a stanza and reads it again, as a connection does.
func Loopback(iq *stanza.IQ) (*stanza.IQ, error) {
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
