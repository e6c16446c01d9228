package stream

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
)

// RFC 6120 §11.6 with the labels of the Encoding Standard.
func TestUTF8Labels(t *testing.T) {
	for _, label := range []string{"UTF-8", "utf-8", "utf8", "Utf8", "unicode-1-1-utf-8", "x-unicode20utf8", "unicode11utf8"} {
		require.True(t, isUTF8Label(label), label)
	}
	for _, label := range []string{"", "UTF-16", "utf-16le", "ISO-8859-1", "US-ASCII", "windows-1252", "UTF-7", "UTF-32", "nonsense"} {
		require.False(t, isUTF8Label(label), label)
	}
}

func TestLegacyReader(t *testing.T) {
	const doc = "<a b='é'>Ünïcode</a>"
	encode := func(e interface {
		Bytes([]byte) ([]byte, error)
	}, s string) string {
		b, err := e.Bytes([]byte(s))
		require.NoError(t, err)
		return string(b)
	}
	latin1 := charmap.ISO8859_1.NewEncoder()
	le := unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM).NewEncoder()
	be := unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM).NewEncoder()
	for _, c := range []struct{ name, in, label, want string }{
		{"label", encode(latin1, doc), "iso-8859-1", doc},
		{"declaration", encode(latin1, "<?xml version='1.0' encoding='ISO-8859-1'?>"+doc), "", doc},
		{"label over declaration", encode(latin1, "<?xml version='1.0' encoding='UTF-8'?>"+doc), "latin1", doc},
		{"declaration with standalone", encode(latin1, "<?xml version=\"1.0\" encoding=\"latin1\" standalone='yes' ?>\n"+doc), "", "\n" + doc},
		{"UTF-8 without anything", doc, "", doc},
		{"UTF-8 with declaration", "<?xml version='1.0'?>" + doc, "", doc},
		{"UTF-8 with BOM", "\uFEFF" + doc, "", doc},
		{"UTF-8 with BOM and declaration", "\uFEFF<?xml version='1.0'?>" + doc, "", doc},
		{"UTF-16LE with BOM", encode(le, "\uFEFF"+doc), "", doc},
		{"UTF-16BE with BOM", encode(be, "\uFEFF"+doc), "", doc},
		{"UTF-16LE", encode(le, "<?xml version='1.0' encoding='UTF-16'?>"+doc), "", doc},
		{"UTF-16BE", encode(be, doc), "", doc},
		{"UTF-16LE by label", encode(le, doc), "utf-16le", doc},
		{"Shift_JIS", encode(japanese.ShiftJIS.NewEncoder(), "<a>日本語</a>"), "shift_jis", "<a>日本語</a>"},
		{"no declaration but a PI", "<?xml-stylesheet?>" + doc, "", "<?xml-stylesheet?>" + doc},
		{"empty", "", "", ""},
		{"one byte", "<", "", "<"},
		{"windows-1252", "<a>\x80</a>", "latin1", "<a>€</a>"},
	} {
		for name, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "one byte": iotest.OneByteReader, "data and EOF": iotest.DataErrReader,
		} {
			r, err := NewLegacyReader(wrap(strings.NewReader(c.in)), c.label)
			require.NoError(t, err, c.name)
			got, err := io.ReadAll(r)
			require.NoError(t, err, "%s, %s", c.name, name)
			require.Equal(t, c.want, string(got), "%s, %s", c.name, name)
		}
	}
	// What comes out suits the tokenizer, long input included.
	long := encode(latin1, "<?xml version='1.0' encoding='ISO-8859-1'?><a>"+strings.Repeat("é", 100_000)+"</a>")
	r, err := NewLegacyReader(strings.NewReader(long), "")
	require.NoError(t, err)
	b, err := io.ReadAll(r)
	require.NoError(t, err)
	got, err := tokens(t, nil, b)
	require.NoError(t, err)
	require.Len(t, got, 3)

	// Nothing is waited for that is not needed.
	pr, pw := io.Pipe()
	r, err = NewLegacyReader(pr, "")
	require.NoError(t, err)
	go func() { // ends with the write
		pw.Write([]byte(encode(latin1, "<?xml version='1.0' encoding='latin1'?><a>é")))
	}()
	b = make([]byte, 100)
	n, err := io.ReadAtLeast(r, b, 5)
	require.NoError(t, err)
	require.Equal(t, "<a>é", string(b[:n]))

	r, err = NewLegacyReader(strings.NewReader("<?xml version='1.0' encoding='nonsense'?><a/>"), "")
	require.NoError(t, err)
	for range 2 {
		_, err = r.Read(b)
		require.ErrorIs(t, err, ErrEncoding)
	}

	for _, label := range []string{"nonsense", "UTF-32", "iso-2022-kr", "replacement", "\x1b[0m"} {
		_, err := NewLegacyReader(strings.NewReader(doc), label)
		require.ErrorIs(t, err, ErrEncoding, label)
		require.NotContains(t, err.Error(), "\x1b")
	}
}

// idleReader returns nothing and no error.
type idleReader struct{ reads int }

func (r *idleReader) Read([]byte) (int, error) {
	r.reads++
	return 0, nil
}

// brokenReader claims to have read more than there was room for.
type brokenReader struct{}

func (brokenReader) Read(p []byte) (int, error) { return len(p) + 1, nil }

func TestLegacyReaderErrors(t *testing.T) {
	boom := errors.New("boom")
	for _, label := range []string{"", "latin1", "utf-16le"} {
		idle := new(idleReader)
		for src, want := range map[io.Reader]error{idle: io.ErrNoProgress, iotest.ErrReader(boom): boom, brokenReader{}: errImpossible} {
			r, err := NewLegacyReader(src, label)
			require.NoError(t, err)
			_, err = r.Read(make([]byte, 100))
			require.ErrorIs(t, err, want)
		}
		require.LessOrEqual(t, idle.reads, 1000)

		for _, end := range []io.Reader{iotest.ErrReader(boom), new(idleReader)} {
			r, err := NewLegacyReader(io.MultiReader(bytes.NewReader(make([]byte, 10_000)), end), label)
			require.NoError(t, err)
			b, err := io.ReadAll(r)
			require.Error(t, err)
			require.NotEmpty(t, b, "what came before the error")
		}
	}
}
