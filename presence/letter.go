package presence

import (
	"bytes"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

// encoded is a stanza that is XML already.
type encoded []byte

// AppendXML implements [stream.Appender].
func (e encoded) AppendXML(dst []byte) ([]byte, error) { return append(dst, e...), nil }

var (
	nameFrom = stream.Name{Local: "from"}
	nameTo   = stream.Name{Local: "to"}
	nameLang = stream.Name{Space: stream.NSXML, Local: "lang"}
)

// rewritten is a stanza on its way through: the bytes that came in, with a new
// start tag.
type rewritten struct {
	el    *stream.Element
	set   []stream.AttrSet
	tries int // how often keep has found somebody to deliver it to instead
}

// AppendXML implements [stream.Appender].
func (r *rewritten) AppendXML(dst []byte) ([]byte, error) {
	return r.el.AppendRewritten(dst, stream.NSClient, r.set...)
}

// letter is a stanza that was encoded once, for many: all of it but the address.
// It is never changed.
type letter struct {
	b  []byte // in a stream of clients
	at int    // where the attribute goes
}

// seal makes a letter of a stanza. What set says about its attributes is done;
// it has to remove the address.
func seal(el *stream.Element, set ...stream.AttrSet) (letter, error) {
	b, err := el.AppendRewritten(make([]byte, 0, len(el.Raw())+64), stream.NSClient, set...)
	return letterOf(b), err
}

// compose makes a letter of what a stanza without an address appends.
func compose(st stream.Appender) (letter, error) {
	b, err := st.AppendXML(nil)
	return letterOf(b), err
}

func letterOf(b []byte) letter {
	at := bytes.IndexAny(b, " />")
	return letter{b, max(at, 0)}
}

// addressed is a letter with an address. It may be given another one when it has
// been sent.
type addressed struct {
	letter
	to jid.JID
}

// AppendXML implements [stream.Appender].
func (a *addressed) AppendXML(dst []byte) ([]byte, error) {
	dst = append(dst, a.b[:a.at]...)
	dst = append(dst, " to='"...)
	dst, err := stream.AppendEscapedAttr(dst, a.to.String())
	if err != nil {
		return dst, err
	}
	dst = append(dst, '\'')
	return append(dst, a.b[a.at:]...), nil
}

// element reads the letter back, with its namespace declared.
func (l letter) element() (*stream.Element, error) {
	const decl = " xmlns='" + stream.NSClient + "'"
	b := append(make([]byte, 0, len(l.b)+len(decl)), l.b[:l.at]...)
	b = append(b, decl...)
	return stream.ParseElement(append(b, l.b[l.at:]...), &grown)
}

// grown are limits for what was read already, and is a little more by now: it must
// not be refused for that.
var grown = stream.Limits{ElementBytes: 1 << 28, Depth: 1 << 20, Attributes: 1 << 20, Namespaces: 1 << 20, Elements: 1 << 28}
