package form

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza/delay"
)

var (
	// ErrNoValue is what asking a field for its value gives if there is no such
	// field, or none in it, or an empty one where a value cannot be empty.
	ErrNoValue = errors.New("form: no value")
	// ErrValue is wrapped by the errors about a value that is not of the type that
	// was asked for.
	ErrValue = errors.New("form: unusable value")
)

// quoted is how much of a value an error text shows, in octets.
const quoted = 64

func bad(what, value string) error {
	return fmt.Errorf("%w: %s is not %s", ErrValue, quote.ASCII(value, quoted), what)
}

// String returns the first value, and "" if there is none.
func (f *Field) String() string {
	s, _ := f.first()
	return s
}

func (f *Field) first() (string, bool) {
	if f == nil || len(f.Values) == 0 {
		return "", false
	}
	return f.Values[0], true
}

// value returns the first value if it is not empty.
func (f *Field) value() (string, error) {
	s, _ := f.first()
	if s == "" {
		return "", ErrNoValue
	}
	return s, nil
}

// Text returns the values as lines of one text (XEP-0004 §3.3 note 3).
func (f *Field) Text() string {
	if f == nil {
		return ""
	}
	return strings.Join(f.Values, "\n")
}

// SetText makes the lines of s the values (XEP-0004 §3.3 note 3).
func (f *Field) SetText(s string) { f.Values = Lines(s) }

// Lines splits a text into the values of a field of type [TextMulti]. Of an empty
// text there are none.
func Lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(s), "\n")
}

// Bool returns the value of a field of type [Bool]: "true" and "1", "false" and "0"
// (XEP-0004 §3.3). The error is [ErrNoValue] or wraps [ErrValue].
func (f *Field) Bool() (bool, error) {
	s, err := f.value()
	if err != nil {
		return false, err
	}
	b, ok := parseBool(s)
	if !ok {
		return false, bad("a boolean", s)
	}
	return b, nil
}

func parseBool(s string) (value, ok bool) {
	switch strings.Trim(s, xmlSpace) {
	case "true", "1":
		return true, true
	case "false", "0":
		return false, true
	}
	return false, false
}

const xmlSpace = " \t\r\n"

// Int returns the value as a number. The error is [ErrNoValue] or wraps [ErrValue].
func (f *Field) Int() (int64, error) {
	s, err := f.value()
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(strings.Trim(s, xmlSpace), 10, 64)
	if err != nil {
		return 0, bad("an integer", s)
	}
	return n, nil
}

// Time returns the value as a moment in the format of XEP-0082. The error is
// [ErrNoValue] or wraps [ErrValue] and [delay.ErrTime].
func (f *Field) Time() (time.Time, error) {
	s, err := f.value()
	if err != nil {
		return time.Time{}, err
	}
	t, err := delay.Parse(s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%w: %w", ErrValue, err)
	}
	return t, nil
}

// JID returns the value of a field of type [JIDSingle]. The error is [ErrNoValue]
// or wraps [ErrValue] and that of [jid.Parse].
func (f *Field) JID() (jid.JID, error) {
	s, err := f.value()
	if err != nil {
		return jid.JID{}, err
	}
	return parseJID(s)
}

func parseJID(s string) (jid.JID, error) {
	j, err := jid.Parse(strings.Trim(s, xmlSpace))
	if err != nil {
		return jid.JID{}, fmt.Errorf("%w: %w", ErrValue, err)
	}
	return j, nil
}

// JIDs returns the values of a field of type [JIDMulti], each once: duplicates MUST
// be ignored (XEP-0004 §3.3). So are empty values. The error wraps [ErrValue] and
// that of [jid.Parse]; no value at all is not an error.
func (f *Field) JIDs() ([]jid.JID, error) {
	if f == nil {
		return nil, nil
	}
	var out []jid.JID
	seen := make(map[jid.JID]bool, len(f.Values))
	for _, s := range f.Values {
		if s == "" {
			continue
		}
		j, err := parseJID(s)
		if err != nil {
			return nil, err
		}
		if !seen[j] {
			seen[j] = true
			out = append(out, j)
		}
	}
	return out, nil
}

// Has reports whether s is one of the values.
func (f *Field) Has(s string) bool { return f != nil && slices.Contains(f.Values, s) }

// blank reports whether there is nothing in any value.
func (f *Field) blank() bool {
	for _, s := range f.Values {
		if s != "" {
			return false
		}
	}
	return true
}
