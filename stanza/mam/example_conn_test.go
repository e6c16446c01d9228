package mam_test

import (
	"context"
	"fmt"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/mam"
	"stanzakit.dev/xmpp/stream"
)

// exampleConn is a client and its server inside the program: the archive is that of
// a Module, and what the server sends goes to the Mux of the client.
type exampleConn struct{ mux *stanza.Mux }

func (c *exampleConn) LocalAddr() jid.JID { return balcony }

func (c *exampleConn) Do(ctx context.Context, iq *stanza.IQ) (*stanza.IQ, error) {
	store := new(mam.MemoryStore)
	for i := range 4 {
		id := fmt.Sprintf("m%d", i)
		e := &mam.Entry{
			ID: id, Time: time.Unix(int64(i), 0).UTC(), From: orchard, To: juliet,
			Message: []byte("<message xmlns='jabber:client' from='romeo@montague.lit/orchard'><body>text of " + id + "</body></message>"),
		}
		if err := store.Append(ctx, juliet, e, mam.Keep{}); err != nil {
			return nil, err
		}
	}
	module := &mam.Module{Store: store}
	if err := module.Attach(newHost()); err != nil {
		return nil, err
	}
	var server stanza.Mux
	if err := stanza.Install(&server, module); err != nil {
		return nil, err
	}
	request, err := iq.Payload.AppendXML(nil)
	if err != nil {
		return nil, err
	}
	el, err := stream.ParseElement(request, nil)
	if err != nil {
		return nil, err
	}
	replies := &toMux{mux: c.mux}
	if err := stanza.Dispatch(ctx, &server, replies, &stanza.IQ{ID: "1", From: balcony, To: iq.To, Type: iq.Type, Payload: el}); err != nil {
		return nil, err
	}
	reply := replies.got[0]
	if reply.Error != nil {
		return reply, reply.Error
	}
	return reply, nil
}

// toMux is a Sender that gives messages to a client.
type toMux struct {
	replies
	mux *stanza.Mux
}

func (s *toMux) Send(ctx context.Context, st stanza.Stanza) error {
	if err := s.replies.Send(ctx, st); err != nil || st.Kind() != stanza.MessageKind {
		return err
	}
	el, err := stream.ParseElement([]byte(s.before[len(s.before)-1]), nil)
	if err != nil {
		return err
	}
	msg := new(stanza.Message)
	if err := msg.DecodeElement(el); err != nil {
		return err
	}
	return s.mux.HandleStanza(ctx, nil, msg)
}
