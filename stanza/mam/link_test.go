package mam_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stream"
)

// script is an archive that answers with what it is told to, and gives the messages
// to the client before it does so.
type script struct {
	client *mam.Client
	answer func(q *mam.Query) (messages []string, fin string, err error)
	late   func(messages []string) // nil: the messages come before the reply
	asked  []*mam.Query
	to     []jid.JID
}

func (s *script) LocalAddr() jid.JID { return balcony }

func (s *script) Do(_ context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	b, err := iq.Payload.AppendXML(nil)
	if err != nil {
		return nil, err
	}
	el, err := stream.ParseElement(b, nil)
	if err != nil {
		return nil, err
	}
	q := new(mam.Query)
	if err := q.DecodeElement(el); err != nil {
		return nil, err
	}
	s.asked, s.to = append(s.asked, q), append(s.to, iq.To)
	messages, fin, err := s.answer(q)
	if err != nil {
		return nil, err
	}
	if s.late != nil {
		s.late(messages)
	} else {
		for _, xml := range messages {
			take(s.client, xml)
		}
	}
	el, err = stream.ParseElement([]byte(fin), nil)
	if err != nil {
		return nil, err
	}
	return &stanza.IQ{Type: stanza.ResultIQ, Payload: el}, nil
}

// take gives a message to a client.
func take(c *mam.Client, xml string) bool {
	el, err := stream.ParseElement([]byte("<stream xmlns='jabber:client'>"+xml+"</stream>"), nil)
	if err != nil {
		panic(err)
	}
	for child := range el.Children() {
		msg := new(stanza.Message)
		if err := msg.DecodeElement(child); err != nil {
			panic(err)
		}
		return c.Take(msg)
	}
	panic("no message")
}

// result is a result of a query, as a message from somebody.
func result(from, queryID, id string) string {
	if from != "" {
		from = " from='" + from + "'"
	}
	return "<message" + from + " to='juliet@capulet.lit/balcony'><result xmlns='urn:xmpp:mam:2' queryid='" + queryID + "' id='" + id + "'>" +
		"<forwarded xmlns='urn:xmpp:forward:0'><delay xmlns='urn:xmpp:delay' stamp='2010-07-10T23:08:25Z'/>" +
		"<message xmlns='jabber:client' from='romeo@montague.lit/orchard' to='juliet@capulet.lit' type='chat'><body>" + id + "</body></message>" +
		"</forwarded></result></message>"
}

// fin ends a page.
func fin(complete, first, last string) string {
	s := "<fin xmlns='urn:xmpp:mam:2' complete='" + complete + "'><set xmlns='http://jabber.org/protocol/rsm'>"
	if first != "" {
		s += "<first>" + first + "</first><last>" + last + "</last>"
	}
	return s + "</set></fin>"
}

// ids lists the ids of results.
func ids(results []*mam.Result) (out []string) {
	for _, r := range results {
		out = append(out, r.ID)
	}
	return out
}

// link is a client whose messages pass through real streams to a server that has a
// Module.
type link struct {
	*stanza.Conn
	server *server
}

// LocalAddr is what binding would have given.
func (link) LocalAddr() jid.JID { return balcony }

// newLink connects a client to a server with n messages for juliet. The server ends
// with the test.
func newLink(t *testing.T, n int) link {
	t.Helper()
	s, _ := filledServer(t, &mam.Module{MaxPage: 7}, n)
	a, b := memconn.Pipe()
	profile := stream.Profile{ContentNS: stream.NSClient, InsecureGoal: true}
	accepted := make(chan *stream.Session, 1)
	// Owner: this function. Stops when the stream is negotiated. Joined by reading
	// from accepted.
	go func() {
		session, err := stream.Accept(t.Context(), b, &stream.AcceptOptions{Profile: profile, Domains: []jid.JID{capulet}})
		if err != nil {
			t.Errorf("accept: %v", err)
		}
		accepted <- session
	}()
	session, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{Profile: profile, To: capulet})
	require.NoError(t, err)
	client, serving := stanza.NewConn(session, nil), stanza.NewConn(<-accepted, nil)
	served := make(chan struct{})
	// Owner: the test. Stops when the session ends. Joined through served.
	go func() {
		defer close(served)
		_ = serving.Serve(context.Background(), stanza.HandlerFunc(func(ctx context.Context, to stanza.Sender, st stanza.Stanza) error {
			h := st.Head()
			h.From = balcony // what authentication would have found
			st.SetHead(h)
			return s.mux.HandleStanza(ctx, to, st)
		}))
	}()
	t.Cleanup(func() {
		client.Abort(errors.New("the test is over"))
		serving.Abort(errors.New("the test is over"))
		<-served
	})
	return link{client, s}
}
