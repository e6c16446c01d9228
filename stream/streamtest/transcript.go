package streamtest

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stanzakit.dev/xmpp/stream"
)

// Side is one of the two sides of a stream.
type Side byte

const (
	// Client is the initiating entity, Server the receiving one (RFC 6120
	// §4.1).
	Client Side = 'C'
	Server Side = 'S'
)

// other returns the peer.
func (s Side) other() Side {
	if s == Client {
		return Server
	}
	return Client
}

// index returns 0 for the client and 1 for the server.
func (s Side) index() int {
	if s == Client {
		return 0
	}
	return 1
}

// Item is a stream header, a first-level element or a closing tag.
type Item struct {
	// From is who sent it.
	From Side
	// XML is the item, on one line, with attributes in a fixed order. The
	// namespaces around it are those of the last header of its side; "stream"
	// is the prefix of streams.
	XML string

	node *node // nil for a closing tag
}

// Transcript is what went over one stream, item by item. As text it has a line
// for each item, and lines with "#" as comments before the first one:
//
//	# a client that is not welcome
//	C: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' to='im.example' version='1.0'>
//	S: <stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' id='{stream:1}' version='1.0'>
//	S: <stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>
//	S: </stream:stream>
//	C: </stream:stream>
//
// In place of an attribute's value or the text of an element there may be
// "{name:1}", which stands for a value that is another one each time, but the same
// wherever it stands in the transcript; and "{secret}" for what was hidden. A
// value that happens to begin with "{" or "\" has a "\" in front of it.
type Transcript struct {
	// Comment is what the text begins with, without "#".
	Comment string
	Items   []Item
}

// SyntaxError is the error of a text that is no transcript.
type SyntaxError struct {
	// Line counts from 1.
	Line int
	Err  error
}

// Error names the line.
func (e *SyntaxError) Error() string { return fmt.Sprintf("streamtest: line %d: %v", e.Line, e.Err) }

// Unwrap returns what is wrong with the line.
func (e *SyntaxError) Unwrap() error { return e.Err }

// Parse reads a transcript. Errors are of type [*SyntaxError]. Items have the
// default limits of package stream; what comes before a side's first header is
// taken to be in jabber:client.
func Parse(text []byte) (*Transcript, error) {
	t := new(Transcript)
	var comment []string
	headers := [2]string{openingTag(stream.NSClient), openingTag(stream.NSClient)}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		fail := func(err error) (*Transcript, error) { return nil, &SyntaxError{number, err} }
		s := strings.TrimRight(string(line), "\r\n")
		if rest, ok := strings.CutPrefix(s, "#"); ok && len(t.Items) == 0 {
			comment = append(comment, strings.TrimRight(strings.TrimPrefix(rest, " "), " \t\r"))
			continue
		}
		if strings.TrimSpace(s) == "" {
			continue
		}
		who, xml, ok := strings.Cut(s, ": ")
		if !ok || who != "C" && who != "S" {
			return fail(errors.New("a line begins with C: or S: and a space"))
		}
		side := Side(who[0])
		header := headers[side.index()]
		if strings.HasPrefix(xml, "<stream:stream ") || strings.HasPrefix(xml, "<stream:stream>") {
			header = ""
		}
		item, err := newItem(side, header, xml)
		if err != nil {
			return fail(err)
		}
		if header == "" {
			headers[side.index()] = openingTag(item.node.content)
		}
		t.Items = append(t.Items, item)
	}
	t.Comment = strings.Trim(strings.Join(comment, "\n"), "\n")
	return t, nil
}

// newItem reads an item behind a header, or a header if that is empty.
func newItem(from Side, header, xml string) (Item, error) {
	if strings.TrimSpace(xml) == closingTag {
		return Item{From: from, XML: closingTag}, nil
	}
	n, err := parseItem(header, xml)
	if err != nil {
		return Item{}, err
	}
	content := ""
	if header != "" {
		h, err := parseItem("", header)
		if err != nil {
			return Item{}, err
		}
		content = h.content
	}
	return Item{From: from, XML: string(n.appendXML(nil, content)), node: n}, nil
}

// AppendText appends the transcript as text, which [Parse] reads.
func (t *Transcript) AppendText(dst []byte) ([]byte, error) {
	if t.Comment != "" {
		for line := range strings.SplitSeq(t.Comment, "\n") {
			dst = append(dst, strings.TrimRight("# "+line, " ")...)
			dst = append(dst, '\n')
		}
	}
	for _, i := range t.Items {
		dst = append(dst, byte(i.From), ':', ' ')
		dst = append(dst, i.XML...)
		dst = append(dst, '\n')
	}
	return dst, nil
}

// String returns the transcript as text.
func (t *Transcript) String() string {
	b, _ := t.AppendText(nil) // it does not fail
	return string(b)
}

// ReadFile reads a transcript from a file.
func ReadFile(name string) (*Transcript, error) {
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	t, err := Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// Golden compares the transcript with one in a file, conventionally in testdata,
// and fails the test where they differ. With the flag -streamtest.update it writes
// the file instead. The order of attributes and the way in which namespaces are
// declared make no difference.
func (t *Transcript) Golden(tb testing.TB, name string) {
	tb.Helper()
	if *updateFlag {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			tb.Fatalf("streamtest: %v", err)
		}
		if err := os.WriteFile(name, []byte(t.String()), 0o644); err != nil {
			tb.Fatalf("streamtest: %v", err)
		}
		return
	}
	want, err := ReadFile(name)
	if err != nil {
		tb.Fatalf("streamtest: %v (-streamtest.update writes it)", err)
	}
	if err := want.compare(t); err != nil {
		tb.Errorf("streamtest: %s: %v\nif that is how it has to be, -streamtest.update writes the file anew", name, err)
	}
}

// compare returns the first difference.
func (t *Transcript) compare(got *Transcript) error {
	for i := range max(len(t.Items), len(got.Items)) {
		m := &Mismatch{Item: i}
		if i < len(t.Items) {
			m.Want = t.Items[i].line()
		}
		if i < len(got.Items) {
			m.Got = got.Items[i].line()
		}
		if m.Want == m.Got {
			continue
		}
		if m.Want != "" && m.Got != "" && t.Items[i].From == got.Items[i].From {
			m.Where = difference(t.Items[i].node, got.Items[i].node, nil)
		}
		return m
	}
	return nil
}

func (i *Item) line() string { return string(i.From) + ": " + i.XML }
