package disco_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/form"
)

// serverInfo is the form of XEP-0128 example 1.
const serverInfo = `<x xmlns='jabber:x:data' type='result'>` +
	`<field var='FORM_TYPE' type='hidden'><value>http://jabber.org/network/serverinfo</value></field>` +
	`<field var='c2s_port'><value>5222</value></field>` +
	`<field var='ip_version'><value>ipv4</value><value>ipv6</value></field>` +
	`</x>`

// XEP-0128 §2, §3.1, example 1: forms in an answer.
func TestForms(t *testing.T) {
	p := &peer{t: t, reply: "<iq type='result' id='disco1' from='shakespeare.lit'><query xmlns='http://jabber.org/protocol/disco#info'>" +
		"<identity category='server' type='im' name='shakespeare.lit jabber server'/><feature var='jabber:iq:register'/>" + serverInfo + "</query></iq>"}
	info, err := disco.GetInfo(t.Context(), p, plays, "")
	require.NoError(t, err)
	require.Len(t, info.Forms, 1)
	f := info.Form("http://jabber.org/network/serverinfo")
	require.Equal(t, "5222", f.Field("c2s_port").String())
	require.Equal(t, []string{"ipv4", "ipv6"}, f.Field("ip_version").Values)
	require.Nil(t, info.Form("urn:other"))
	var none *disco.Info
	require.Nil(t, none.Form("urn:other"))

	// What was read is what is announced.
	r := &disco.Responder{Self: &disco.Entity{Identities: info.Identities, Forms: info.Forms}}
	require.Contains(t, ask(t, r, get("a@b", "shakespeare.lit", infoQuery)), serverInfo+"</query>")
}

// Forms that cannot be read or written.
func TestFormsInvalid(t *testing.T) {
	for name, inner := range map[string]string{
		"no type":  "<x xmlns='jabber:x:data'/>",
		"too many": strings.Repeat(serverInfo, disco.MaxForms+1),
	} {
		t.Run(name, func(t *testing.T) {
			p := &peer{t: t, reply: "<iq type='result' id='1'><query xmlns='http://jabber.org/protocol/disco#info'>" + inner + "</query></iq>"}
			_, err := disco.GetInfo(t.Context(), p, plays, "")
			require.ErrorIs(t, err, stanza.BadRequest)
		})
	}
	client := []disco.Identity{{Category: "client", Type: "pc"}}
	one := form.New(form.Result, "urn:one")
	for name, forms := range map[string][]*form.Data{
		"nil":                    {nil},
		"not a form":             {{Type: "x"}},
		"two of one type":        {one, form.New(form.Result, "urn:one")},
		"more than can be asked": make([]*form.Data, disco.MaxForms+1),
	} {
		t.Run(name, func(t *testing.T) {
			r := &disco.Responder{Self: &disco.Entity{Identities: client, Forms: forms}}
			require.ErrorIs(t, stanza.Install(new(stanza.Mux), r), disco.ErrEntity)
		})
	}
	require.NoError(t, stanza.Install(new(stanza.Mux), &disco.Responder{Self: &disco.Entity{Identities: client, Forms: []*form.Data{one}}}))
}
