package form

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// FuzzDecode: no form panics; what was read is within the bounds; if it can be written,
// it is read again as the same; and its own answer is checked without a panic.
func FuzzDecode(f *testing.F) {
	for _, name := range []string{"xep0004-2-form", "xep0004-3-submit", "xep0004-4-result", "xep0004-6-form", "xep0004-7-submit", "xep0004-8-result"} {
		f.Add([]byte(golden(f, name)))
	}
	f.Add([]byte(x("form", "<field var='a' type='list-multi'><validate xmlns='http://jabber.org/protocol/xdata-validate' datatype='xs:int'><range min='1' max='x'/><list-range max='3'/></validate><value>7</value><option><value>7</value></option></field>")))
	f.Add([]byte(x("form", "<field var='a'><validate xmlns='http://jabber.org/protocol/xdata-validate'><regex>(a|b)*$</regex></validate><value>ab</value></field>")))
	f.Fuzz(func(t *testing.T, wire []byte) {
		el, err := stream.ParseElement(wire, nil)
		if err != nil {
			return
		}
		d := new(Data)
		if err := d.DecodeElement(el); err != nil {
			var e *stanza.Error
			require.True(t, errors.As(err, &e))
			require.Equal(t, &Data{}, d)
			return
		}
		require.LessOrEqual(t, len(d.Fields), MaxFields)
		d.FormType()
		for i := range d.Fields {
			d.Fields[i].JIDs()
			d.Fields[i].Time()
		}
		if d.Type == Form {
			if err := d.Check(d.Answer()); err != nil {
				require.LessOrEqual(t, len(err.Error()), 2<<10)
			}
		}
		b, err := d.AppendXML(nil)
		if err != nil { // what is tolerated is not written
			require.ErrorIs(t, err, stanza.ErrInvalid)
			return
		}
		el, err = stream.ParseElement(b, nil)
		if err != nil {
			return // larger than the limits
		}
		again := new(Data)
		require.NoError(t, again.DecodeElement(el), "%s", b)
		require.Equal(t, d, again)
	})
}
