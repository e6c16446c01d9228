package stanza

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// RFC 6120 §8.3.3: all conditions with the type recommended for each.
//
//conformance:proves 6120-8.3.3-1 6120-8.3.3.1-1 6120-8.3.3.2-1 6120-8.3.3.3-1 6120-8.3.3.4-1 6120-8.3.3.5-1 6120-8.3.3.6-1 6120-8.3.3.7-1
//conformance:proves 6120-8.3.3.8-1 6120-8.3.3.9-1 6120-8.3.3.10-1 6120-8.3.3.11-1 6120-8.3.3.12-1 6120-8.3.3.13-1 6120-8.3.3.14-1 6120-8.3.3.15-1
//conformance:proves 6120-8.3.3.16-1 6120-8.3.3.17-1 6120-8.3.3.18-1 6120-8.3.3.19-1 6120-8.3.3.20-1 6120-8.3.3.22-1
func TestConditions(t *testing.T) {
	table := []struct {
		c    Condition
		name string
		typ  ErrorType
	}{
		{BadRequest, "bad-request", "modify"},                        // §8.3.3.1
		{Conflict, "conflict", "cancel"},                             // §8.3.3.2
		{FeatureNotImplemented, "feature-not-implemented", "cancel"}, // §8.3.3.3
		{Forbidden, "forbidden", "auth"},                             // §8.3.3.4
		{Gone, "gone", "cancel"},                                     // §8.3.3.5
		{InternalServerError, "internal-server-error", "cancel"},     // §8.3.3.6
		{ItemNotFound, "item-not-found", "cancel"},                   // §8.3.3.7
		{JIDMalformed, "jid-malformed", "modify"},                    // §8.3.3.8
		{NotAcceptable, "not-acceptable", "modify"},                  // §8.3.3.9
		{NotAllowed, "not-allowed", "cancel"},                        // §8.3.3.10
		{NotAuthorized, "not-authorized", "auth"},                    // §8.3.3.11
		{PolicyViolation, "policy-violation", "modify"},              // §8.3.3.12
		{RecipientUnavailable, "recipient-unavailable", "wait"},      // §8.3.3.13
		{Redirect, "redirect", "modify"},                             // §8.3.3.14
		{RegistrationRequired, "registration-required", "auth"},      // §8.3.3.15
		{RemoteServerNotFound, "remote-server-not-found", "cancel"},  // §8.3.3.16
		{RemoteServerTimeout, "remote-server-timeout", "wait"},       // §8.3.3.17
		{ResourceConstraint, "resource-constraint", "wait"},          // §8.3.3.18
		{ServiceUnavailable, "service-unavailable", "cancel"},        // §8.3.3.19
		{SubscriptionRequired, "subscription-required", "auth"},      // §8.3.3.20
		{UndefinedCondition, "undefined-condition", "cancel"},        // §8.3.3.21: any type
		{UnexpectedRequest, "unexpected-request", "wait"},            // §8.3.3.22
	}
	require.Len(t, table, 22)
	require.Len(t, conditions, 22)
	for _, c := range table {
		t.Run(c.name, func(t *testing.T) {
			require.True(t, c.c.Known())
			require.Equal(t, c.name, c.c.Error())
			require.Equal(t, c.typ, c.c.Type())

			// Alone, it is written with its type, and both come back.
			e := &Error{Condition: c.c}
			xml := "<error type='" + string(c.typ) + "'><" + c.name + " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
			require.Equal(t, xml, encode(t, e))
			q := decode[*IQ](t, "<iq id='1' type='error'>"+xml+"</iq>")
			require.Equal(t, &Error{Condition: c.c, Type: c.typ, Received: true}, q.Error)

			// Without a type, or with an unknown one, it is the default.
			for _, attr := range []string{"", " type=''", " type='unknown'"} {
				q = decode[*IQ](t, "<iq id='1' type='error'>"+strings.Replace(xml, " type='"+string(c.typ)+"'", attr, 1)+"</iq>")
				require.Equal(t, c.typ, q.Error.Type)
			}

			// It is found through layers, and no other is.
			wrapped := fmt.Errorf("asking: %w", q.Error)
			for _, other := range table {
				require.Equal(t, c.c == other.c, errors.Is(wrapped, other.c))
			}
			require.NotErrorIs(t, wrapped, stream.Condition(c.name))
		})
	}
	require.False(t, Condition("").Known())
	require.False(t, Condition("payment-required").Known())
	require.Equal(t, CancelError, Condition("payment-required").Type())
}

// RFC 6120 §8.3.2: every type survives beside any condition.
func TestErrorTypes(t *testing.T) {
	for _, typ := range []ErrorType{AuthError, CancelError, ContinueError, ModifyError, WaitError} {
		require.True(t, typ.Known())
		m := &Message{Type: ErrorMessage, Error: &Error{Condition: UndefinedCondition, Type: typ}}
		require.Equal(t, typ, decode[*Message](t, encode(t, m)).Error.Type)
	}
	require.False(t, ErrorType("").Known())
	require.False(t, ErrorType("retry").Known())
}

// The examples of the specification.
//
//conformance:proves 6120-8.3.4-1
func TestErrorExamples(t *testing.T) {
	for _, c := range []struct {
		clause, xml string
		want        Error
	}{
		{"RFC 6120 §8.3.3.5", `<message from='romeo@example.net' id='sj2b371v' to='juliet@im.example.com/churchyard' type='error'>
		     <error by='example.net'
		            type='cancel'>
		       <gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>
		         xmpp:romeo@afterlife.example.net
		       </gone>
		     </error>
		   </message>`,
			Error{Condition: Gone, Type: CancelError, URI: "xmpp:romeo@afterlife.example.net", By: jid.MustParse("example.net")}},
		{"RFC 6120 §8.3.3.14", `<presence from='characters@muc.example.com/JulieC' id='y2bs71v4' to='juliet@im.example.com/balcony' type='error'>
		     <error type='modify'>
		       <redirect xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>
		         xmpp:characters@conference.example.org
		       </redirect>
		     </error>
		   </presence>`,
			Error{Condition: Redirect, Type: ModifyError, URI: "xmpp:characters@conference.example.org"}},
		{"RFC 6120 §8.3.3.8", `<presence from='ch%40r@muc.example.com/JulieC' id='y2bs71v4' to='juliet@im.example.com/balcony' type='error'>
		     <error by='muc.example.com'
		            type='modify'>
		       <jid-malformed
		           xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
		     </error>
		   </presence>`,
			Error{Condition: JIDMalformed, Type: ModifyError, By: jid.MustParse("muc.example.com")}},
		{"RFC 6120 §8.3.4 undefined", `<message type='error' id='7h3baci9'>
		     <error type='modify'>
		       <undefined-condition
		             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>
		       <text xml:lang='en'
		             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>[ ... application-specific information ... ]</text>
		       <too-many-parameters xmlns='http://example.org/ns'/>
		     </error>
		   </message>`,
			Error{Condition: UndefinedCondition, Type: ModifyError, Text: "[ ... application-specific information ... ]", Lang: "en"}},
	} {
		t.Run(c.clause, func(t *testing.T) {
			st, err := Decode(element(t, stream.NSClient, c.xml))
			require.NoError(t, err)
			require.True(t, st.IsError())
			c.want.Received = true
			for range 2 {
				var got *Error
				switch st := st.(type) {
				case *Message:
					got = st.Error
				case *Presence:
					got = st.Error
				}
				_, ok := got.Payload(stream.Name{Space: "http://example.org/ns", Local: "too-many-parameters"})
				require.Equal(t, strings.Contains(c.xml, "too-many"), ok)
				bare := got.Clone()
				bare.Application = nil
				require.Equal(t, &c.want, bare)
				require.NoError(t, st.DecodeElement(element(t, stream.NSClient, encode(t, st))))
			}
		})
	}
}

// RFC 6120 §8.3.3.3 and §8.3.4: an application-specific condition is kept byte
// for byte, after the stanza that it came in is gone too.
func TestErrorApplication(t *testing.T) {
	const app = `<unsupported xmlns='http://jabber.org/protocol/pubsub#errors' feature="retrieve-subscriptions"></unsupported>`
	wire := []byte(declare(stream.NSClient, "<iq id='9u2bax16' type='error'><error type='cancel'>"+
		"<feature-not-implemented xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>"+app+"<second xmlns='urn:x'/></error></iq>"))
	el, err := stream.ParseElement(wire, nil)
	require.NoError(t, err)
	var q IQ
	require.NoError(t, q.DecodeElement(el))
	clear(wire)
	got, ok := q.Error.Payload(stream.Name{Space: "http://jabber.org/protocol/pubsub#errors", Local: "unsupported"})
	require.True(t, ok)
	require.Equal(t, "retrieve-subscriptions", got.Attr("feature"))
	require.Contains(t, encode(t, q.Error), app)
	_, ok = q.Error.Payload(stream.Name{Space: "urn:x", Local: "second"})
	require.False(t, ok)
	require.Contains(t, encode(t, &Error{Condition: BadRequest, Application: originID("1")}), "<origin-id")
}

// An error is never refused for its form: there could be no answer to it.
//
//conformance:proves 6120-8.3.2-4
func TestErrorMalformed(t *testing.T) {
	const ns = " xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'"
	for _, c := range []struct {
		xml  string
		want Error
	}{
		// §8.3.1 rule 4: no error element at all.
		{"", Error{Condition: UndefinedCondition, Type: CancelError}},
		{"<error/>", Error{Condition: UndefinedCondition, Type: CancelError}},
		{"<error type='wait'/>", Error{Condition: UndefinedCondition, Type: WaitError}},
		// §8.3.2: an unknown condition is undefined-condition.
		{"<error type='wait'><payment-required" + ns + "/></error>", Error{Condition: UndefinedCondition, Type: WaitError}},
		{"<error><bad-request/></error>", Error{Condition: UndefinedCondition, Type: CancelError}},
		{"<error><gone" + ns + "/><conflict" + ns + "/></error>", Error{Condition: Gone, Type: CancelError}},
		{"<error><conflict" + ns + ">xmpp:x</conflict></error>", Error{Condition: Conflict, Type: CancelError}},
		{"<error by='@'><gone" + ns + "/></error>", Error{Condition: Gone, Type: CancelError}},
		{"<error><text" + ns + " xml:lang='en'/><gone" + ns + "/></error>", Error{Condition: Gone, Type: CancelError}},
		{"<error><text" + ns + ">1</text><text" + ns + ">2</text></error>", Error{Condition: UndefinedCondition, Type: CancelError, Text: "1"}},
		{"<error><gone" + ns + "/></error><error><conflict" + ns + "/></error>", Error{Condition: Gone, Type: CancelError}},
	} {
		c.want.Received = true
		for _, kind := range []string{"message", "presence", "iq"} {
			st, err := Decode(element(t, stream.NSClient, "<"+kind+" id='1' type='error'>"+c.xml+"</"+kind+">"))
			require.NoError(t, err)
			switch st := st.(type) {
			case *Message:
				require.Equal(t, &c.want, st.Error, "%s", c.xml)
			case *Presence:
				require.Equal(t, &c.want, st.Error, "%s", c.xml)
			case *IQ:
				require.Equal(t, &c.want, st.Error, "%s", c.xml)
			}
		}
	}
}

func TestErrorDecodeElement(t *testing.T) {
	e := Error{Text: "old"}
	require.ErrorIs(t, e.DecodeElement(element(t, stream.NSClient, "<body/>")), ErrNotStanza)
	require.Equal(t, Error{}, e)
	require.NoError(t, Unmarshal(element(t, stream.NSClient, "<error type='auth'/>"), &e))
	require.Equal(t, Error{Condition: UndefinedCondition, Type: AuthError, Received: true}, e)
}

func TestErrorString(t *testing.T) {
	for _, c := range []struct {
		e    Error
		want string
	}{
		{Error{Condition: ItemNotFound}, `stanza error item-not-found`},
		{Error{Condition: ItemNotFound, Type: CancelError, Received: true}, `stanza error from peer item-not-found`},
		{Error{Condition: ItemNotFound, Type: WaitError, Text: "a\nb"}, `stanza error item-not-found ("wait"): "a\nb"`},
		{Error{Condition: Gone, URI: "xmpp:a\x1b[31m", By: jid.MustParse("a@b/ü")}, `stanza error gone by "a@b/\u00fc" "xmpp:a\x1b[31m"`},
		{Error{Condition: "a b"}, `stanza error "a b"`},
		{Error{}, `stanza error ""`},
		{Error{Condition: BadRequest, Cause: io.EOF}, `stanza error bad-request: EOF`},
	} {
		require.Equal(t, c.want, c.e.Error())
	}
	require.ErrorIs(t, &Error{Condition: BadRequest, Cause: io.EOF}, io.EOF)
}

// RFC 6120 §8.3.1: the answer to a stanza.
//
//conformance:proves 6120-8.1.3-3 6120-8.3.1-3 6120-8.3.1-4 6120-8.3.1-5 6120-8.3.1-6 6120-8.3.1-8 6120-8.3.1-10 6120-8.3.2-1
func TestErrorReply(t *testing.T) {
	const cond = "<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
	for _, c := range []struct{ xml, want string }{
		{"<message id='1' from='a@b/c' to='d@e' type='chat'><body>x</body></message>",
			"<message id='1' from='d@e' to='a@b/c' type='error'>" + cond + "</message>"},
		{"<message from='a@b/c'/>", "<message to='a@b/c' type='error'>" + cond + "</message>"},
		{"<presence id='pwb2n78i' from='userfoo@example.com/bar' to='nosuchroom@conference.example.org/foo'/>",
			"<presence id='pwb2n78i' from='nosuchroom@conference.example.org/foo' to='userfoo@example.com/bar' type='error'>" + cond + "</presence>"},
		{"<iq id='1' type='get'><x xmlns='urn:x'/></iq>", "<iq id='1' type='error'>" + cond + "</iq>"},
		// Rule 8, §8.2.3 rule 4.
		{"<message type='error'/>", ""},
		{"<presence type='error'/>", ""},
		{"<iq id='1' type='error'/>", ""},
		{"<iq id='1' type='result'/>", ""},
	} {
		st, err := Decode(element(t, stream.NSClient, c.xml))
		require.NoError(t, err)
		reply := ErrorReply(st, ItemNotFound)
		if c.want == "" {
			require.Nil(t, reply, "%s", c.xml)
			continue
		}
		require.Equal(t, c.want, encode(t, reply))
		require.Nil(t, ErrorReply(st, nil))
		require.Nil(t, ErrorReply(reply, ItemNotFound))
	}
	require.Nil(t, ErrorReply(nil, ItemNotFound))
}

// What the peer is told, and what not.
//
//conformance:proves 6120-8.3.2-3 6120-8.3.2-6 6120-8.3.3.5-2
func TestErrorReplyError(t *testing.T) {
	own := &Error{Condition: Gone, Type: WaitError, Text: "no", Lang: "en", URI: "xmpp:x", By: jid.MustParse("b"),
		Application: originID("1"), Cause: errors.New("secret")}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"own": {fmt.Errorf("secret: %w", own), `<error type='wait' by='b'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>xmpp:x</gone>` +
			`<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas' xml:lang='en'>no</text><origin-id xmlns='urn:xmpp:sid:0' id='1'/></error>`},
		"received": {fmt.Errorf("secret: %w", &Error{Condition: Gone, Type: WaitError, Text: "secret", URI: "x", Received: true}),
			`<error type='wait'><gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`},
		"condition": {fmt.Errorf("secret: %w", Forbidden),
			`<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`},
		"other": {errors.New("secret"),
			`<error type='cancel'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`},
		"unknown condition": {Condition("secret"),
			`<error type='cancel'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`},
		"unknown in error": {&Error{Condition: "secret", Type: "secret"},
			`<error type='cancel'><undefined-condition xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`},
		"text that XML cannot carry": {&Error{Condition: BadRequest, Text: "a\x00\xff\uFFFEb\n"},
			"<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>" +
				"<text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>a\uFFFD\uFFFD\uFFFDb\n</text></error>"},
		"URI in the wrong place": {&Error{Condition: BadRequest, URI: "xmpp:x"},
			"<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"},
	} {
		t.Run(name, func(t *testing.T) {
			reply := ErrorReply(&Message{ID: "1"}, c.err)
			require.Equal(t, "<message id='1' type='error'>"+c.want+"</message>", encode(t, reply))
		})
	}
}
