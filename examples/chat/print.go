package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

// screen writes whole lines. It is safe for concurrent use.
type screen struct {
	mu  sync.Mutex
	out io.Writer
}

// printf writes a line. What comes from others has to be harmless.
func (s *screen) printf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.out, format+"\n", args...)
}

// maxShown is how many characters of one text are shown.
const maxShown = 4096

// harmless makes a text of a peer fit for a terminal: nothing in it moves the cursor,
// changes colours or turns the direction of writing around. Its further lines are
// indented, so that they do not look like lines of the program.
func harmless(s string) string {
	var b strings.Builder
	n := 0
	for _, r := range strings.TrimSpace(s) {
		if n++; n > maxShown {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\n':
			b.WriteString("\n      ")
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r == '\t':
			b.WriteByte(' ')
		case r != '\r': // controls, formats, unusual spaces, what is not assigned
			b.WriteRune(unicode.ReplacementChar)
		}
	}
	return b.String()
}

// line is harmless for what is one line, such as a name.
func line(s string) string { return strings.Join(strings.Fields(harmless(s)), " ") }

// with returns ": text", or nothing if there is no text.
func with(text stanza.Texts) string {
	if s := harmless(text.String()); s != "" {
		return ": " + s
	}
	return ""
}

// moods are the sub-states of availability in words.
var moods = map[stanza.Show]string{
	stanza.ShowOnline: "online", stanza.ShowChat: "glad to talk", stanza.ShowAway: "away",
	stanza.ShowXA: "away for long", stanza.ShowDND: "busy",
}

// name is what the user calls somebody.
func name(i roster.Item, address jid.JID) string {
	if i.Name != "" {
		return line(i.Name)
	}
	return line(address.String())
}

// contact is a line of the roster.
func contact(i roster.Item, people *presence.Tracker) string {
	s := "- " + name(i, i.JID) + " <" + line(i.JID.String()) + ">"
	if a, ok := people.Best(i.JID); ok {
		s = "+" + s[1:] + " is " + moods[a.Show] + with(a.Status)
	} else if d, ok := people.Departed(i.JID); ok {
		s += " left " + d.At.Local().Format(time.DateTime) + with(d.Status)
	}
	switch {
	case i.State.Has(roster.PendingOut):
		s += " (has not answered yet)"
	case !i.State.Has(roster.To):
		s += " (does not show you when they are online)"
	}
	return s
}
