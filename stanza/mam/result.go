package mam

import (
	"fmt"
	"time"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stanza/forward"
	"stanzakit.dev/xmpp/stanza/rsm"
	"stanzakit.dev/xmpp/stream"
)

// Result is a message from an archive (XEP-0313 §4.2). All of a decoded Result is
// its own memory.
type Result struct {
	// QueryID is the id of the query that it answers; empty means none.
	QueryID string
	// ID identifies the message in the archive: for pages, and to tell what was
	// received already, when it came with a stanza-id of the archive.
	ID string
	// Time is when the server got the message; zero if it does not say.
	Time time.Time
	// Message is the message as it was, and nil if it was removed from the archive
	// (§3.2). Never hand it to a handler of messages: it was not received
	// now.
	Message *stanza.Message
	// Err is why the message of a result that a [Client] got cannot be read: then
	// Message is nil and Time is zero. It is nil otherwise.
	Err error
}

// DecodeElement implements [stanza.Decoder]. The error is a *[stanza.Error] with
// [stanza.BadRequest] or that of what is inside; then r is zero. Whether the result
// is to be believed, see [Client].
func (r *Result) DecodeElement(el *stream.Element) error {
	*r = Result{}
	if el.Name() != nameResult {
		return badRequest("not a result from an archive")
	}
	out := Result{QueryID: el.Attr("queryid"), ID: el.Attr("id")}
	if out.ID == "" || len(out.ID) > maxID || len(out.QueryID) > maxID {
		// §4.2: MUST contain an id.
		return badRequest("a result without a usable id")
	}
	forwarded, ok := el.Child(forward.Name)
	if !ok {
		return badRequest("a result without a message")
	}
	if err := out.read(forwarded); err != nil {
		return err
	}
	*r = out
	return nil
}

// read takes the message and its time.
func (r *Result) read(el *stream.Element) error {
	var f forward.Forwarded
	if !holdsStanza(el) {
		// §3.2: a server may omit a message that was removed.
		child, ok := el.Child(stream.Name{Space: delay.NS, Local: "delay"})
		if !ok {
			return nil
		}
		f.Delay = new(delay.Delay)
		if err := f.Delay.DecodeElement(child); err != nil {
			return err
		}
	} else {
		if err := f.DecodeElement(el); err != nil {
			return err
		}
		m, err := f.Message()
		if err != nil {
			return &stanza.Error{Condition: stanza.BadRequest, Text: "the result holds no message", Cause: err}
		}
		r.Message = m.Clone()
	}
	if f.Delay != nil {
		r.Time = f.Delay.Stamp
	}
	return nil
}

func holdsStanza(el *stream.Element) bool {
	for child := range el.Children() {
		if stanza.KindOf(child.Name()) != 0 {
			return true
		}
	}
	return false
}

// entryResult writes an entry of an archive as a result.
type entryResult struct {
	queryID string
	entry   *Entry
}

// AppendXML implements [stanza.Payload].
func (r entryResult) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(nameResult)
	if r.queryID != "" {
		// XEP-0313 §4.2: if the client gave one, it MUST be included.
		w.Attr("queryid", r.queryID)
	}
	w.Attr("id", r.entry.ID)
	w.Start(forward.Name)
	// §4.2: the time at which the message was received.
	w.Append(delay.Delay{Stamp: r.entry.Time})
	w.Append(raw(r.entry.Message))
	w.End()
	w.End()
	return w.Bytes()
}

// raw is an element that was written before.
type raw []byte

// AppendXML implements [stanza.Payload].
func (r raw) AppendXML(dst []byte) ([]byte, error) { return append(dst, r...), nil }

// Fin ends the results of a query (XEP-0313 §4). It is a payload.
type Fin struct {
	// Complete says that the page was not cut short: nothing follows in the
	// direction of paging.
	Complete bool
	// Unstable says that the results may change yet (§4.3.2).
	Unstable bool
	// Page says which page it was: the first and the last id of its messages.
	Page rsm.Result
}

// AppendXML implements [stanza.Payload]; the error is that of [rsm.Result].
func (f *Fin) AppendXML(dst []byte) ([]byte, error) {
	w := stream.NewWriter(dst)
	w.Start(nameFin)
	if f.Complete {
		w.Attr("complete", "true")
	}
	if f.Unstable {
		w.Attr("stable", "false")
	}
	w.Append(f.Page)
	w.End()
	return w.Bytes()
}

// DecodeElement implements [stanza.Decoder]. The error is a *[stanza.Error] with
// [stanza.BadRequest]; then f is zero.
func (f *Fin) DecodeElement(el *stream.Element) error {
	*f = Fin{}
	if el.Name() != nameFin {
		return badRequest("not the end of a query")
	}
	out := Fin{Complete: isTrue(el.Attr("complete"))}
	if v, ok := el.AttrBytes("stable"); ok {
		out.Unstable = !isTrue(string(v))
	}
	set, ok := el.Child(rsm.Name)
	if !ok {
		return badRequest("the end of a query without a page") // §4: MUST
	}
	if err := out.Page.DecodeElement(set); err != nil {
		return err
	}
	*f = out
	return nil
}

// isTrue reports whether an xs:boolean is true.
func isTrue(s string) bool { return s == "true" || s == "1" }

// Metadata is the state of an archive (XEP-0313 §5). It is a payload.
type Metadata struct {
	// Start and End are its first and last message; both are nil if it is empty.
	Start, End *Mark
}

// Mark is a place in an archive.
type Mark struct {
	// ID is that of the message, Time when the server got it.
	ID   string
	Time time.Time
}

// AppendXML implements [stanza.Payload].
func (m *Metadata) AppendXML(dst []byte) ([]byte, error) {
	if (m.Start == nil) != (m.End == nil) {
		return dst, fmt.Errorf("%w: mam: metadata with one end only", stanza.ErrInvalid)
	}
	w := stream.NewWriter(dst)
	w.Start(nameMetadata)
	if m.Start != nil {
		for _, x := range []struct {
			local string
			*Mark
		}{{"start", m.Start}, {"end", m.End}} {
			stamp, err := delay.Format(x.Time)
			if err != nil {
				return dst, err
			}
			w.Start(stream.Name{Local: x.local})
			w.Attr("id", x.ID)
			w.Attr("timestamp", stamp)
			w.End()
		}
	}
	w.End()
	return w.Bytes()
}

// DecodeElement implements [stanza.Decoder]. The error is a *[stanza.Error] with
// [stanza.BadRequest]: both ends are there or none, each with an id and a time
// (XEP-0313 §5). Then m is zero.
func (m *Metadata) DecodeElement(el *stream.Element) error {
	*m = Metadata{}
	if el.Name() != nameMetadata {
		return badRequest("not metadata of an archive")
	}
	var out Metadata
	for child := range el.Children() {
		var to **Mark
		switch child.Name() {
		case stream.Name{Space: NS, Local: "start"}:
			to = &out.Start
		case stream.Name{Space: NS, Local: "end"}:
			to = &out.End
		default:
			continue
		}
		mark := Mark{ID: child.Attr("id")}
		var err error
		if mark.Time, err = delay.Parse(child.Attr("timestamp")); err != nil || mark.ID == "" || len(mark.ID) > maxID || *to != nil {
			return &stanza.Error{Condition: stanza.BadRequest, Text: "malformed metadata of an archive", Cause: err}
		}
		*to = &mark
	}
	if (out.Start == nil) != (out.End == nil) {
		return badRequest("metadata of an archive with one end only")
	}
	*m = out
	return nil
}
