package streamtest

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"stanzakit.dev/xmpp/stream"
)

// Volatile says where a value stands that is another one each time. In a
// transcript it becomes "{As:n}", the same n for the same value.
type Volatile struct {
	// Element is the element, at whatever depth, and Attr its attribute in no
	// namespace. Empty means its text.
	Element stream.Name
	Attr    string
	// As is the name in the placeholder.
	As string
	// Everywhere replaces the value in all other places too where it stands
	// alone, from then on.
	Everywhere bool
}

const (
	nsSM    = "urn:xmpp:sm:3"  // XEP-0198
	nsDelay = "urn:xmpp:delay" // XEP-0203
	nsSID   = "urn:xmpp:sid:0" // XEP-0359
	nsBind  = "urn:ietf:params:xml:ns:xmpp-bind"
	nsTLS   = "urn:ietf:params:xml:ns:xmpp-tls"
)

// DefaultVolatile returns what every [Recorder] replaces: stream IDs (RFC 6120
// §4.7.3), ids of stanzas (§8.1.3), ids of stream management (XEP-0198), unique
// ids (XEP-0359) and stamps of delayed delivery (XEP-0203).
func DefaultVolatile() []Volatile {
	v := []Volatile{
		{Element: headerName, Attr: "id", As: "stream"},
		{Element: stream.Name{Space: nsSM, Local: "enabled"}, Attr: "id", As: "sm"},
		{Element: stream.Name{Space: nsSM, Local: "resume"}, Attr: "previd", As: "sm"},
		{Element: stream.Name{Space: nsSM, Local: "resumed"}, Attr: "previd", As: "sm"},
		{Element: stream.Name{Space: nsSM, Local: "failed"}, Attr: "previd", As: "sm"},
		{Element: stream.Name{Space: nsDelay, Local: "delay"}, Attr: "stamp", As: "stamp"},
		{Element: stream.Name{Space: nsSID, Local: "stanza-id"}, Attr: "id", As: "sid"},
		{Element: stream.Name{Space: nsSID, Local: "origin-id"}, Attr: "id", As: "id"},
	}
	for _, space := range []string{stream.NSClient, stream.NSServer} {
		for _, kind := range []string{"message", "presence", "iq"} {
			v = append(v, Volatile{Element: stream.Name{Space: space, Local: kind}, Attr: "id", As: "id"})
		}
	}
	return v
}

// BoundJID replaces the address that a server binds (RFC 6120 §7), for clients
// that leave the resource to the server.
func BoundJID() Volatile {
	return Volatile{Element: stream.Name{Space: nsBind, Local: "jid"}, As: "jid", Everywhere: true}
}

// maxRecorded bounds what a Recorder keeps.
const maxRecorded = 16 << 20

// Recorder records what goes over a stream, by the hooks of a [stream.Trace]. No
// secret gets into it: the trace hides what the features of the stream have
// named (see Negotiation.Secrets of package stream), and Redact what it names.
// The zero Recorder is ready; set the fields before the first use. It records one
// stream, 16 MiB at most, and is safe for concurrent use.
type Recorder struct {
	// Redact are elements, at whatever depth, whose contents are hidden, and
	// their attributes too if they stand in others.
	Redact []stream.Name
	// Volatile says what is replaced in addition to [DefaultVolatile].
	Volatile []Volatile

	mu      sync.Mutex
	items   []Item // as they were
	headers [2]string
	size    int
	err     error
}

// Trace returns hooks that record the stream as one of its sides sees it. They
// call those of next too; nil means that there are none.
func (r *Recorder) Trace(side Side, next *stream.Trace) *stream.Trace {
	var t stream.Trace
	if next != nil {
		t = *next
	}
	hook := func(from Side, also func([]byte)) func([]byte) {
		return func(xml []byte) {
			r.record(from, string(xml))
			if also != nil {
				also(xml)
			}
		}
	}
	t.XMLSent = hook(side, t.XMLSent)
	t.XMLReceived = hook(side.other(), t.XMLReceived)
	return &t
}

// isHeader reports whether an item is a stream header: a start tag and nothing
// else.
func isHeader(xml string) bool {
	if rest, ok := strings.CutPrefix(xml, "<?xml "); ok {
		_, xml, _ = strings.Cut(rest, "?>")
	}
	return strings.Count(xml, "<") == 1 && !strings.Contains(xml, "</") && !strings.HasSuffix(xml, "/>")
}

func (r *Recorder) record(from Side, xml string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return
	}
	if r.size += len(xml); r.size > maxRecorded {
		r.err = fmt.Errorf("streamtest: more than %d bytes in a stream", maxRecorded)
		return
	}
	header := r.headers[from.index()]
	opens := isHeader(xml)
	switch {
	case opens:
		header = ""
	case header == "":
		header = openingTag(stream.NSClient)
	}
	item, err := newItem(from, header, xml)
	if err != nil {
		r.err = fmt.Errorf("streamtest: recording %s: %w", clip(xml), err)
		return
	}
	if opens {
		r.headers[from.index()] = xml
	}
	r.items = append(r.items, item)
}

// Transcript returns what was recorded so far. The error is that of an item that
// is no XML, or of too much of it; the transcript then ends before.
func (r *Recorder) Transcript() (*Transcript, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := normaliser{
		redact: r.Redact,
		rules:  slices.Concat(DefaultVolatile(), r.Volatile),
		values: map[string]string{}, counts: map[string]int{}, everywhere: map[string]string{},
	}
	t := new(Transcript)
	var contents [2]string
	for _, i := range r.items {
		if i.node != nil {
			i.node = i.node.clone()
			n.normalise(i.node, 0)
			content := &contents[i.From.index()]
			if i.node.name == headerName {
				*content = i.node.content
			}
			i.XML = string(i.node.appendXML(nil, *content))
		}
		t.Items = append(t.Items, i)
	}
	return t, r.err
}

// normaliser replaces secrets and volatile values.
type normaliser struct {
	redact     []stream.Name
	rules      []Volatile
	values     map[string]string // from name and value to placeholder
	counts     map[string]int    // by name
	everywhere map[string]string // from value to placeholder
}

// redacted is what a trace writes in place of secrets.
var redacted = regexp.MustCompile(`^\[redacted \d+ bytes\]$`)

func (n *normaliser) normalise(e *node, depth int) {
	hide := slices.Contains(n.redact, e.name)
	for i := range e.attrs {
		a := &e.attrs[i]
		if hide && depth > 0 {
			a.value = secret
		} else {
			a.value = n.value(e.name, a.name, a.value)
		}
	}
	if hide && len(e.kids) > 0 {
		e.kids = []*node{{text: secret}}
		return
	}
	for _, k := range e.kids {
		switch {
		case k.name.Local != "":
			n.normalise(k, depth+1)
		case redacted.MatchString(k.text):
			k.text = secret
		default:
			k.text = n.value(e.name, stream.Name{}, k.text)
		}
	}
}

// value returns what becomes of an attribute, or of text if attr is zero.
func (n *normaliser) value(element, attr stream.Name, v string) string {
	if p, ok := n.everywhere[v]; ok {
		return p
	}
	for _, rule := range n.rules {
		if rule.Element != element || attr != (stream.Name{Local: rule.Attr}) || v == "" {
			continue
		}
		key := rule.As + "\x00" + v
		p, ok := n.values[key]
		if !ok {
			n.counts[rule.As]++
			p = "{" + rule.As + ":" + strconv.Itoa(n.counts[rule.As]) + "}"
			n.values[key] = p
		}
		if rule.Everywhere {
			n.everywhere[v] = p
		}
		return p
	}
	return protect(v)
}
