package command

import (
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

// FuzzRequest: no request panics, and what is read is written so that it is read again;
// whatever is sent is answered.
func FuzzRequest(f *testing.F) {
	f.Add([]byte(command("node='list' action='execute'", "")))
	f.Add([]byte(command("sessionid='config:20020923T213616Z-700' node='config' action='next' xml:lang='en-us'",
		"<x xmlns='jabber:x:data' type='submit'><field var='service'><value>httpd</value></field></x>")))
	f.Add([]byte(command("node='english' xml:lang='de'", "")))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil || el.Name() != name {
			return
		}
		newLoopback(t, requester, newResponder()).raw(string(wire))
		var r, again Request
		if r.DecodeElement(el) != nil {
			require.Equal(t, Request{}, r)
			return
		}
		if b, err := r.AppendXML(nil); err == nil {
			require.NoError(t, again.DecodeElement(parse(t, string(b))), "%s", b)
			require.Equal(t, r, again)
		}
	})
}

// FuzzResponse: no response panics, and what is read is written so that it is read again.
func FuzzResponse(f *testing.F) {
	f.Add([]byte(command("sessionid='config:20020923T213616Z-700' node='config' status='executing'",
		"<actions execute='complete'><prev/><complete/></actions><x xmlns='jabber:x:data' type='form'><field var='a'/></x><note type='warn'>x</note>")))
	f.Add([]byte(command("node='config' status='canceled'", "<x xmlns='jabber:x:oob'><url>http://a.example</url></x>")))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		var r, again Response
		if r.DecodeElement(el) != nil {
			require.Equal(t, Response{}, r)
			return
		}
		b, err := r.AppendXML(nil)
		if err != nil { // a default that is not allowed, or such a form
			return
		}
		el, err = stream.ParseElement(b, nil)
		if err != nil {
			return
		}
		require.NoError(t, again.DecodeElement(el), "%s", b)
		require.Equal(t, r.Status, again.Status)
		require.Equal(t, r.Notes, again.Notes)
		require.Equal(t, r.Form, again.Form)
		require.Len(t, again.Payloads, len(r.Payloads))
	})
}
