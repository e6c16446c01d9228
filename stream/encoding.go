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
// out. Bytes that mean nothing in the encoding become U+FFFD.
//
// An error wraps [ErrEncoding], or is one of r. Errors of r come after what was
// read before them; a reader that keeps returning nothing leads to
// [io.ErrNoProgress]. Closing r is left to the caller.
func NewLegacyReader(r io.Reader, label string) (io.Reader, error) {
	src := bufio.NewReaderSize(&progressReader{r: r}, 4*longestDecl)
	head, err := src.Peek(4 * longestDecl)
	if len(head) == 0 && err != nil && err != io.EOF {
		return nil, fmt.Errorf("stream: reading the beginning of legacy XML: %w", err)
	}
	if label == "" {
		label = sniffEncoding(head)
	}
	enc, name := charset.Lookup(label)
	if enc == nil || name == "replacement" {
		return nil, fmt.Errorf("%w: %s", ErrEncoding, quoteCapped(label, 64))
	}
	var out io.Reader = src
	if name != "utf-8" {
		out = transform.NewReader(src, enc.NewDecoder())
	}
	return &headless{src: bufio.NewReaderSize(out, 4*longestDecl)}, nil
}

// sniffEncoding returns the encoding label that XML beginning with head has
// (XML 1.0 App. F).
func sniffEncoding(head []byte) string {
	switch {
	case bytes.HasPrefix(head, []byte("\xEF\xBB\xBF")):
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

// headless leaves out a byte order mark and an XML declaration.
type headless struct {
	src  *bufio.Reader
	done bool
}

func (h *headless) Read(p []byte) (int, error) {
	if !h.done {
		h.done = true
		b, _ := h.src.Peek(3)
		if strings.HasPrefix(string(b), "\uFEFF") {
			h.src.Discard(3)
		}
		b, _ = h.src.Peek(longestDecl) // an error comes again from Read
		_, rest := splitDecl(b)
		h.src.Discard(len(b) - len(rest))
	}
	return h.src.Read(p)
}

// progressReader gives up on a reader that keeps returning nothing and no
// error.
type progressReader struct{ r io.Reader }

func (p *progressReader) Read(b []byte) (int, error) {
	for range 100 {
		n, err := p.r.Read(b)
		if n < 0 || n > len(b) {
			return 0, errors.New("stream: reader returned an impossible count")
		}
		if n > 0 || err != nil || len(b) == 0 {
			return n, err
		}
	}
	return 0, io.ErrNoProgress
}
