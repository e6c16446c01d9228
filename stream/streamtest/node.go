package streamtest

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"stanzakit.dev/xmpp/stream"
)

// node is an element of an item, or text if it has no name. A stream header is
// an element without contents. Attributes are sorted; they are no part of what
// an element means in any other order.
type node struct {
	name    stream.Name
	content string // of a stream header: the content namespace
	attrs   []attr
	kids    []*node
	text    string
}

type attr struct {
	name  stream.Name
	value string
}

const closingTag = "</stream:stream>"

var headerName = stream.Name{Space: stream.NSStream, Local: "stream"}

// limits of what is read: those of an established session, from the first byte.
var limits = &stream.Limits{PreAuthElementBytes: 256 << 10, Elements: 8192 * 16}

// itemReader cuts a stream into items.
type itemReader struct {
	r     io.Reader
	buf   []byte // read, and not given to the tokenizer
	tok   *stream.Tokenizer
	stack []*node // open elements; the first one is the header
}

// errStreamEnd is what next returns for a closing tag.
var errStreamEnd = errors.New("the stream was closed")

// header reads a stream header, which begins a document of its own.
func (ir *itemReader) header() (*node, error) {
	ir.tok, _ = stream.NewTokenizer(limits) // these limits are usable
	ir.stack = nil
	for {
		t, err := ir.token()
		if err != nil {
			return nil, err
		}
		if t.Kind == stream.StartElement {
			if t.Name != headerName || t.SelfClosing {
				return nil, fmt.Errorf("%s where a stream header is expected", t.Name)
			}
			h := newNode(t)
			ir.stack = []*node{h}
			return h, nil
		}
	}
}

// next reads a first-level element. White space before it is passed over.
func (ir *itemReader) next() (*node, error) {
	if len(ir.stack) == 0 {
		return nil, errors.New("no stream header yet")
	}
	for {
		t, err := ir.token()
		if err != nil {
			return nil, err
		}
		depth := len(ir.stack)
		top := ir.stack[depth-1]
		switch t.Kind {
		case stream.StartElement:
			n := newNode(t)
			if n.name == headerName {
				return nil, errors.New("a stream header inside of a stream")
			}
			if depth > 1 {
				top.kids = append(top.kids, n)
			}
			ir.stack = append(ir.stack, n)
		case stream.EndElement:
			ir.stack = ir.stack[:depth-1]
			switch depth {
			case 1:
				return nil, errStreamEnd
			case 2:
				return top, nil
			}
		case stream.Text:
			if depth > 1 {
				top.kids = append(top.kids, &node{text: string(t.Text)})
			} else if len(bytes.TrimSpace(t.Text)) > 0 {
				return nil, fmt.Errorf("text between elements: %s", clip(string(t.Text)))
			}
		}
	}
}

// token returns the next token. The tokenizer gets the bytes up to each ">",
// where every item ends, so that it never takes any of what comes behind one.
func (ir *itemReader) token() (*stream.Token, error) {
	for {
		t, err := ir.tok.Next()
		if !errors.Is(err, stream.ErrNeedMore) {
			return t, err
		}
		for len(ir.buf) == 0 {
			b := make([]byte, 4096)
			n, err := ir.r.Read(b)
			ir.buf = b[:n]
			if n == 0 && err != nil {
				return nil, err
			}
		}
		n := bytes.IndexByte(ir.buf, '>') + 1
		if n == 0 {
			n = len(ir.buf)
		}
		ir.tok.Feed(ir.buf[:n])
		ir.buf = ir.buf[n:]
	}
}

func newNode(t *stream.Token) *node {
	n := &node{name: t.Name}
	for _, a := range t.Attrs {
		n.attrs = append(n.attrs, attr{a.Name, string(a.Value)})
	}
	slices.SortFunc(n.attrs, func(a, b attr) int {
		return cmp.Or(strings.Compare(a.name.Space, b.name.Space), strings.Compare(a.name.Local, b.name.Local))
	})
	return n
}

// parseItem reads one item behind a stream header, or a header itself. Closing
// tags are not for it.
func parseItem(header, item string) (*node, error) {
	if header == "" {
		// What an element without a prefix is in tells the content namespace.
		ir := &itemReader{r: strings.NewReader(item + "<x/>")}
		h, err := ir.header()
		if err != nil {
			return nil, err
		}
		x, err := ir.next()
		if err != nil {
			return nil, err
		}
		if x.name.Local != "x" || len(ir.buf) > 0 || len(x.attrs)+len(x.kids) > 0 {
			return nil, errors.New("more than a stream header")
		}
		h.content = x.name.Space
		return h, nil
	}
	ir := &itemReader{r: strings.NewReader(header + item)}
	if _, err := ir.header(); err != nil {
		return nil, err
	}
	n, err := ir.next()
	if err == nil && len(bytes.TrimSpace(ir.buf)) > 0 {
		err = errors.New("more than one item")
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// parseContents reads what an element in a namespace contains.
func parseContents(space, xml string) ([]*node, error) {
	n, err := parseItem(openingTag(space), "<x>"+xml+"</x>")
	if err != nil {
		return nil, fmt.Errorf("contents %s: %w", clip(xml), err)
	}
	return n.kids, nil
}

// openingTag is a stream header that puts what follows into its namespaces.
func openingTag(content string) string {
	return string((&node{name: headerName, content: content}).appendXML(nil, ""))
}

// appendXML writes the node where content is the default namespace and "stream"
// the prefix for streams. There is one way to write each node.
func (n *node) appendXML(dst []byte, content string) []byte {
	if n.name.Local == "" {
		return appendText(dst, n.text)
	}
	tag := n.name.Local
	dst = append(dst, '<')
	switch n.name.Space {
	case stream.NSStream:
		tag = "stream:" + tag
		dst = append(dst, tag...)
	case stream.NSXML:
		tag = "xml:" + tag
		dst = append(dst, tag...)
	default:
		dst = append(dst, tag...)
		if n.name.Space != content {
			content = n.name.Space
			dst = appendAttr(dst, "xmlns", content)
		}
	}
	if n.name == headerName {
		dst = appendAttr(dst, "xmlns", n.content)
		dst = appendAttr(dst, "xmlns:stream", stream.NSStream)
	}
	for i, a := range n.attrs {
		name := a.name.Local
		switch a.name.Space {
		case "":
		case stream.NSXML:
			name = "xml:" + name
		case stream.NSStream:
			name = "stream:" + name
		default:
			prefix := "a" + strconv.Itoa(i)
			dst = appendAttr(dst, "xmlns:"+prefix, a.name.Space)
			name = prefix + ":" + name
		}
		dst = appendAttr(dst, name, a.value)
	}
	switch {
	case n.name == headerName:
		return append(dst, '>')
	case len(n.kids) == 0:
		return append(dst, '/', '>')
	}
	dst = append(dst, '>')
	for _, k := range n.kids {
		dst = k.appendXML(dst, content)
	}
	dst = append(dst, '<', '/')
	dst = append(dst, tag...)
	return append(dst, '>')
}

func appendAttr(dst []byte, name, value string) []byte {
	dst = append(dst, ' ')
	dst = append(dst, name...)
	dst = append(dst, '=', '\'')
	dst, _ = stream.AppendEscapedAttr(dst, value) // it came from XML
	return append(dst, '\'')
}

// appendText writes text without line breaks: an item is one line.
func appendText(dst []byte, text string) []byte {
	start := len(dst)
	dst, _ = stream.AppendEscaped(dst, text)
	if bytes.IndexByte(dst[start:], '\n') < 0 {
		return dst
	}
	return append(dst[:start], bytes.ReplaceAll(dst[start:], []byte("\n"), []byte("&#10;"))...)
}

// clone returns a copy.
func (n *node) clone() *node {
	c := *n
	c.attrs = slices.Clone(n.attrs)
	c.kids = nil
	for _, k := range n.kids {
		c.kids = append(c.kids, k.clone())
	}
	return &c
}

// clip quotes text and cuts it.
func clip(s string) string {
	if len(s) > 200 {
		s = s[:200] + "…"
	}
	return strconv.Quote(s)
}
