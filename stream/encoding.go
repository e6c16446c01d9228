package stream

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/net/html/charset"
	"golang.org/x/text/transform"

	"stanzakit.dev/xmpp/internal/quote"
)

// isUTF8Label reports whether an encoding label means UTF-8, according to the
// Encoding Standard ("UTF-8", "utf8", "unicode-1-1-utf-8" and so on).
func isUTF8Label(label string) bool {
	_, name := charset.Lookup(label)
	return name == "utf-8"
}

// ErrEncoding is wrapped by errors about an encoding that is not known.
var ErrEncoding = errors.New("stream: unknown encoding")

// NewLegacyReader returns a reader that yields the XML in r as UTF-8, to be fed
// to a [Tokenizer]: for logs and gateway feeds in the encodings of old. It is
// never used on a live stream, which is UTF-8 or is closed (RFC 6120 §11.6).
//
// The label is one of the Encoding Standard, such as "iso-8859-1", which means
// windows-1252 there. When it is empty, a byte order mark or the encoding in
// the XML declaration decides, and UTF-8 is assumed without either. A byte order
// mark and the XML declaration, whose encoding would be wrong now, are left
// out. Bytes that mean nothing in the encoding become U+FFFD, but those of UTF-8
// are left to the tokenizer to refuse.
//
// An error wraps [ErrEncoding]; so does that of the first Read when the
// declaration has an unknown encoding. Reading starts with the first Read and
// takes no more than what r has to offer at a time. Errors of r come after what
// was read before them; a reader that keeps returning nothing leads to
// [io.ErrNoProgress]. Closing r is left to the caller.
func NewLegacyReader(r io.Reader, label string) (io.Reader, error) {
	if label != "" {
		if _, err := legacyDecoder(label); err != nil {
			return nil, err
		}
	}
	return &legacyReader{src: bufio.NewReader(&progressReader{r: r}), label: label}, nil
}

// legacyDecoder returns what decodes the encoding with the given label.
func legacyDecoder(label string) (transform.Transformer, error) {
	enc, name := charset.Lookup(label)
	switch {
	case enc == nil || name == "replacement":
		return nil, fmt.Errorf("%w: %s", ErrEncoding, quote.ASCII(label, 64))
	case name == "utf-8":
		return transform.Nop, nil
	}
	return enc.NewDecoder(), nil
}

// legacyReader is what NewLegacyReader returns.
type legacyReader struct {
	src   *bufio.Reader
	label string
	out   *bufio.Reader // decoded and without its head, once that was read
	err   error
}

func (l *legacyReader) Read(p []byte) (int, error) {
	if l.out == nil && l.err == nil {
		l.start()
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.out.Read(p)
}

// start finds out the encoding and skips a byte order mark and an XML
// declaration. Errors of the source come again when reading goes on.
func (l *legacyReader) start() {
	if l.label == "" {
		l.label = sniffEncoding(peekHead(l.src))
	}
	dec, err := legacyDecoder(l.label)
	if err != nil {
		l.err = err
		return
	}
	out := bufio.NewReader(transform.NewReader(l.src, dec))
	head := peekHead(out)
	rest := bytes.TrimPrefix(head, []byte(utf8BOM))
	_, rest = splitDecl(rest)
	out.Discard(len(head) - len(rest))
	l.out = out
}

const utf8BOM = "\uFEFF"

// peekHead returns the beginning of what r has, long enough to hold a byte order
// mark and an XML declaration if there are any, and no longer than needed to see
// that.
func peekHead(r *bufio.Reader) []byte {
	const most = len(utf8BOM) + longestDecl
	for n := 1; ; {
		b, err := r.Peek(n)
		if err != nil || n == most || !cutHead(b) {
			return b
		}
		n = min(max(n+1, r.Buffered()), most)
	}
}

// cutHead reports whether b may be the beginning of a byte order mark or an XML
// declaration.
func cutHead(b []byte) bool {
	if len(b) < len(utf8BOM) && strings.HasPrefix(utf8BOM, string(b)) || len(b) == 1 && (b[0] >= 0xFE || b[0] == 0) {
		return true
	}
	b = bytes.TrimPrefix(b, []byte(utf8BOM))
	if len(b) <= len(declOpen) {
		return string(b) == declOpen[:len(b)]
	}
	decl, _ := splitDecl(b)
	return decl == nil && string(b[:len(declOpen)]) == declOpen && class[b[len(declOpen)]]&cSpace != 0
}

// sniffEncoding returns the encoding label that XML beginning with head has
// (XML 1.0 App. F).
func sniffEncoding(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte(utf8BOM)):
		return "utf-8"
	case bytes.HasPrefix(head, []byte("\xFF\xFE")), bytes.HasPrefix(head, []byte("<\x00")):
		return "utf-16le"
	case bytes.HasPrefix(head, []byte("\xFE\xFF")), bytes.HasPrefix(head, []byte("\x00<")):
		return "utf-16be"
	}
	if decl, _ := splitDecl(head); decl != nil {
		_, rest, _ := pseudoAttr(decl, "version")
		if label, _, ok := pseudoAttr(rest, "encoding"); ok && isEncName(label) {
			return string(label)
		}
	}
	return "utf-8"
}

// splitDecl splits b after an XML declaration, whose inside it returns; nil
// when there is none.
func splitDecl(b []byte) (decl, rest []byte) {
	if len(b) > len(declOpen) && string(b[:len(declOpen)]) == declOpen && class[b[len(declOpen)]]&cSpace != 0 {
		if end := bytes.Index(b[:min(len(b), longestDecl)], []byte("?>")); end > 0 {
			return b[len(declOpen):end], b[end+2:]
		}
	}
	return nil, b
}

var errImpossible = errors.New("stream: reader returned an impossible count")

// progressReader gives up on a reader that keeps returning nothing and no
// error.
type progressReader struct{ r io.Reader }

func (p *progressReader) Read(b []byte) (int, error) {
	for range 100 {
		n, err := p.r.Read(b)
		if n < 0 || n > len(b) {
			return 0, errImpossible
		}
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}
