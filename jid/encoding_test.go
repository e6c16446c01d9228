package jid

import (
	"database/sql"
	"database/sql/driver"
	"encoding"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var (
	_ encoding.TextMarshaler     = JID{}
	_ encoding.TextAppender      = JID{}
	_ encoding.TextUnmarshaler   = (*JID)(nil)
	_ encoding.BinaryMarshaler   = JID{}
	_ encoding.BinaryAppender    = JID{}
	_ encoding.BinaryUnmarshaler = (*JID)(nil)
	_ xml.Marshaler              = JID{}
	_ xml.Unmarshaler            = (*JID)(nil)
	_ xml.MarshalerAttr          = JID{}
	_ xml.UnmarshalerAttr        = (*JID)(nil)
	_ driver.Valuer              = JID{}
	_ sql.Scanner                = (*JID)(nil)
)

func TestText(t *testing.T) {
	in := map[JID]JID{MustParse("a@b/<x>"): MustParse("b"), MustParse("c"): {}}
	data, err := json.Marshal(in)
	require.NoError(t, err)
	var out map[JID]JID
	require.NoError(t, json.Unmarshal(data, &out))
	require.Equal(t, in, out)

	j := MustParse("a@b")
	requireError(t, j.UnmarshalText([]byte("@")), Localpart, ErrEmpty)
	require.Equal(t, MustParse("a@b"), j, "unchanged on error")
	require.NoError(t, j.UnmarshalText(nil))
	require.Zero(t, j)
	b, err := MustParse("a@b").AppendText([]byte("x:"))
	require.NoError(t, err)
	require.Equal(t, "x:a@b", string(b))

	text := []byte("a@b/c")
	require.NoError(t, j.UnmarshalText(text))
	text[0] = 'x'
	require.Equal(t, "a@b/c", j.String(), "nothing of the buffer is kept")
}

func TestBinary(t *testing.T) {
	var buf strings.Builder
	want := []JID{MustParse("\u00e9@b/\u265a"), {}}
	require.NoError(t, gob.NewEncoder(&buf).Encode(want))
	var got []JID
	require.NoError(t, gob.NewDecoder(strings.NewReader(buf.String())).Decode(&got))
	require.Equal(t, want, got)
	b, err := want[0].AppendBinary(nil)
	require.NoError(t, err)
	var j JID
	require.NoError(t, j.UnmarshalBinary(b))
	require.Equal(t, want[0], j)
	requireError(t, j.UnmarshalBinary([]byte("a@\xff")), Domainpart, ErrUTF8)
	require.Equal(t, want[0], j)
}

func TestXML(t *testing.T) {
	type item struct {
		XMLName xml.Name `xml:"item"`
		To      JID      `xml:"to,attr"`
		From    JID      `xml:"from,attr,omitempty"`
		JID     JID      `xml:"jid"`
		None    JID      `xml:"none"`
	}
	in := item{XMLName: xml.Name{Local: "item"}, To: MustParse("a@b/<'&\">"), JID: MustParse("c@d/&")}
	data, err := xml.Marshal(in)
	require.NoError(t, err)
	require.Equal(t, `<item to="a@b/&lt;&#39;&amp;&#34;&gt;"><jid>c@d/&amp;</jid></item>`, string(data))
	var out item
	require.NoError(t, xml.Unmarshal(data, &out))
	require.Equal(t, in, out)

	for _, bad := range []string{`<item to=""/>`, `<item to="@"/>`, `<item><jid/></item>`, `<item><jid> a@b</jid></item>`} {
		var e *Error
		require.ErrorAs(t, xml.Unmarshal([]byte(bad), &out), &e, bad)
	}
	require.Error(t, xml.Unmarshal([]byte(`<item><jid>a@b`), &out))
}

func TestSQL(t *testing.T) {
	v, err := MustParse("A@b").Value()
	require.NoError(t, err)
	require.Equal(t, "a@b", v)
	v, err = JID{}.Value()
	require.NoError(t, err)
	require.Nil(t, v)

	for _, src := range []any{"A@B", []byte("a@b")} {
		var j JID
		require.NoError(t, j.Scan(src))
		require.Equal(t, MustParse("a@b"), j)
	}
	for _, src := range []any{nil, "", []byte{}} {
		j := MustParse("a@b")
		require.NoError(t, j.Scan(src))
		require.Zero(t, j)
	}
	j := MustParse("a@b")
	requireError(t, j.Scan("@b"), Localpart, ErrEmpty)
	require.EqualError(t, j.Scan(7), "jid: cannot scan int into a JID")
	require.Equal(t, MustParse("a@b"), j)
}
