package csi

import (
	"bytes"
	"slices"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/delay"
)

// waiting is a stanza that is held back, encoded. It is its own Appender, by which
// it is known again when it is written.
type waiting struct {
	b       []byte
	latest  jid.JID // whose presence it is; zero for what later presence does not replace
	since   time.Time
	stamped bool    // it has a delay already, of which there is one only (XEP-0203 §2)
	by      jid.JID // who holds it back

	now time.Time // when it was let go
}

// worthSaying is how long a stanza waits before it tells. Stamps that people look
// at have no finer resolution.
const worthSaying = time.Second

// AppendXML implements [stream.Appender].
func (w *waiting) AppendXML(dst []byte) ([]byte, error) {
	if w.stamped || w.now.Sub(w.since) < worthSaying {
		return append(dst, w.b...), nil
	}
	from := len(dst)
	// The delay comes last, before the end tag. An empty-element tag gets one.
	at := bytes.LastIndex(w.b, []byte("</"))
	empty := bytes.HasSuffix(w.b, []byte("/>"))
	if empty {
		at = len(w.b) - len("/>")
	}
	if at < 0 {
		return append(dst, w.b...), nil // no element: for whoever made it to answer for
	}
	out := append(dst, w.b[:at]...)
	if empty {
		out = append(out, '>')
	}
	out, err := delay.Delay{From: w.by, Stamp: w.since.Truncate(time.Second)}.AppendXML(out)
	if err != nil {
		return out[:from], err
	}
	if !empty {
		return append(out, w.b[at:]...), nil
	}
	return append(append(append(out, "</"...), nameOf(w.b)...), '>'), nil
}

// nameOf returns the qualified name of the element that b is.
func nameOf(b []byte) []byte {
	end := bytes.IndexAny(b, " \t\r\n/>")
	return b[1:end]
}

// held are the stanzas that wait for a client, in the order in which they will go
// out. The zero value is empty.
type held struct {
	list  []*waiting
	bytes int
}

// add puts a stanza at the end. Presence that it replaces is dropped: it must not
// take its place, lest it overtake what came between (RFC 6120 §10.1).
func (h *held) add(w *waiting) {
	if !w.latest.IsZero() {
		if i := slices.IndexFunc(h.list, func(old *waiting) bool { return old.latest == w.latest }); i >= 0 {
			h.bytes -= len(h.list[i].b)
			h.list = slices.Delete(h.list, i, i+1)
		}
	}
	h.list = append(h.list, w)
	h.bytes += len(w.b)
}

// over reports whether there is more than may wait.
func (h *held) over(stanzas, bytes int) bool { return len(h.list) > stanzas || h.bytes > bytes }

// take empties h.
func (h *held) take(now time.Time) []*waiting {
	list := h.list
	*h = held{}
	for _, w := range list {
		w.now = now
	}
	return list
}
