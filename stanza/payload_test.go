package stanza

import (
	"encoding/xml"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stream"
)

type softwareVersion struct {
	XMLName xml.Name `xml:"jabber:iq:version query"`
	Name    string   `xml:"name"`
	Version string   `xml:"version"`
}

// decoded is a payload with a decoder of its own.
type decoded struct{ id string }

func (d *decoded) DecodeElement(el *stream.Element) error {
	if d.id = el.Attr("id"); d.id == "" {
		return errNoID
	}
	return nil
}

var errNoID = errors.New("no id")

func TestPayloadXML(t *testing.T) {
	in := softwareVersion{Name: "<StanzaKit>", Version: "1"}
	q := &IQ{ID: "1", Type: ResultIQ, Payload: XML(in)}
	out := encode(t, q)
	require.Equal(t, `<iq id='1' type='result'><query xmlns="jabber:iq:version"><name>&lt;StanzaKit&gt;</name><version>1</version></query></iq>`, out)

	var got softwareVersion
	require.NoError(t, Unmarshal(decode[*IQ](t, out).Element(), &got))
	require.Equal(t, in.Name, got.Name)
	require.Equal(t, in.Version, got.Version)

	requireRefused(t, &IQ{ID: "1", Type: ResultIQ, Payload: XML(func() {})}, nil)
}

func TestUnmarshal(t *testing.T) {
	el := element(t, "urn:xmpp:sid:0", "<origin-id id='x'/>")
	var d decoded
	require.NoError(t, Unmarshal(el, &d))
	require.Equal(t, "x", d.id)
	require.ErrorIs(t, Unmarshal(element(t, "urn:xmpp:sid:0", "<origin-id/>"), &d), errNoID)
	// Stanzas and errors are decoders too.
	var m Message
	require.NoError(t, Unmarshal(element(t, stream.NSClient, "<message id='7'/>"), &m))
	require.Equal(t, "7", m.ID)
	require.Error(t, Unmarshal(el, nil))
	require.Error(t, Unmarshal(el, softwareVersion{}))
}

// A payload that fails takes the stanza with it.
func TestPayloadFails(t *testing.T) {
	requireRefused(t, &Message{Body: Plain("x"), Extra: []Payload{originID("ok"), failing{}}}, errNoID)
	requireRefused(t, &Presence{Extra: []Payload{failing{}}}, errNoID)
	requireRefused(t, &IQ{ID: "1", Type: SetIQ, Payload: failing{}}, errNoID)
	requireRefused(t, &IQ{ID: "1", Type: ErrorIQ, Error: &Error{Condition: Gone, Application: failing{}}}, errNoID)
}

type failing struct{}

func (failing) AppendXML(dst []byte) ([]byte, error) { return append(dst, "<half"...), errNoID }
