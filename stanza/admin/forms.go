package admin

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
)

// NS is the FORM_TYPE of every form, and the beginning of every node (XEP-0133 §8.1,
// §8.2).
const NS = "http://jabber.org/protocol/admin"

// The fields (XEP-0133 §8.2). afterField is this package's own, in the way of
// XEP-0068 §3.3.
const (
	accountField      = "accountjid"
	accountsField     = "accountjids"
	passwordField     = "password"
	verifyField       = "password-verify"
	maxField          = "max_items"
	afterField        = "x-after"
	announcementField = "announcement"
)

// Bounds of what one command does.
const (
	maxTargets      = 100      // accounts that one command is for
	maxPassword     = 4 << 10  // octets; as in package sasl
	maxAnnouncement = 16 << 10 // octets
	maxItems        = 1_000    // accounts in one list; fewer than form.MaxValues
	defaultItems    = 200
)

// question makes a form to fill in.
func question(title, instructions string, fields ...form.Field) *form.Data {
	d := form.New(form.Form, NS, fields...)
	d.Title, d.Instructions = title, []string{instructions}
	return d
}

// outcome makes a form with results.
func outcome(fields ...form.Field) *form.Data { return form.New(form.Result, NS, fields...) }

// accountQuestion and accountsQuestion ask whom a command is for.
func accountQuestion(label string) form.Field {
	return form.Field{Var: accountField, Type: form.JIDSingle, Label: label, Required: true}
}

func accountsQuestion(label string) form.Field {
	return form.Field{Var: accountsField, Type: form.JIDMulti, Label: label, Required: true}
}

// listQuestion asks how much of a list to show, and from where.
func listQuestion(title, what string) *form.Data {
	options := make([]form.Option, 0, 7)
	for _, n := range []int{25, 50, 75, 100, 150, 200} {
		s := strconv.Itoa(n)
		options = append(options, form.Option{Label: s, Value: s})
	}
	options = append(options, form.Option{Label: "None", Value: "none"})
	return question(title, "Fill out this form to request "+what+" of this service.",
		form.Field{Var: maxField, Type: form.ListSingle, Label: "Maximum number of items to show", Options: options},
		form.Field{Var: afterField, Type: form.JIDSingle, Label: "Begin after this address"})
}

// unfit is the error about a form that is not filled in as it should be.
func unfit(format string, args ...any) error {
	return &stanza.Error{Condition: stanza.NotAcceptable, Text: fmt.Sprintf(format, args...)}
}

// shown quotes an address of a form for an error text.
func shown(j jid.JID) string { return quote.ASCII(j.String(), 128) }

// local checks that an address is one of an account of this server, or of a session
// of one.
func (m *Module) local(j jid.JID) error {
	if j.Local() == "" || !slices.Contains(m.host.Domains(), j.DomainJID()) {
		return unfit("%s is no account here", shown(j))
	}
	return nil
}

// target returns the account that a command is for (XEP-0133 §4.7 note: a bare
// JID).
func (m *Module) target(in *form.Data) (jid.JID, error) {
	j, err := in.Field(accountField).JID()
	if err != nil {
		return jid.JID{}, unfit("the address is missing or malformed")
	}
	if !j.IsBare() {
		return jid.JID{}, unfit("%s is no account", shown(j))
	}
	return j, m.local(j)
}

// targets returns whom a command is for; full says that they may be sessions.
func (m *Module) targets(in *form.Data, full bool) ([]jid.JID, error) {
	out, err := in.Field(accountsField).JIDs()
	switch {
	case err != nil || len(out) == 0:
		return nil, unfit("the addresses are missing or malformed")
	case len(out) > maxTargets:
		return nil, unfit("more than %d addresses", maxTargets)
	}
	for _, j := range out {
		if j.IsFull() && !full {
			return nil, unfit("%s is no account", shown(j))
		}
		if err := m.local(j); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// password returns the password in a form.
func password(in *form.Data) (string, error) {
	s := in.Field(passwordField).String()
	switch {
	case s == "":
		return "", unfit("the password is missing")
	case len(s) > maxPassword:
		return "", unfit("the password is too long")
	}
	return s, nil
}

// page returns which part of a list is asked for (XEP-0133 §4.18).
func page(in *form.Data) (limit int, after jid.JID, err error) {
	switch f := in.Field(maxField); f.String() {
	case "":
		limit = defaultItems
	case "none":
		limit = maxItems
	default:
		n, err := f.Int() // one of the options
		if err != nil {
			return 0, jid.JID{}, unfit("the maximum number of items is malformed")
		}
		limit = int(n)
	}
	if f := in.Field(afterField); f.String() != "" {
		if after, err = f.JID(); err != nil {
			return 0, jid.JID{}, unfit("the address to begin after is malformed")
		}
	}
	return limit, after, nil
}

// addresses is a field with a list of accounts.
func addresses(name, label string, list []jid.JID) form.Field {
	f := form.Field{Var: name, Type: form.JIDMulti, Label: label, Values: make([]string, len(list))}
	for i, j := range list {
		f.Values[i] = j.String()
	}
	return f
}

// number is a field with a number.
func number(name, label string, n int) form.Field {
	return form.Field{Var: name, Type: form.TextSingle, Label: label, Values: []string{strconv.Itoa(n)}}
}

// sorted returns the keys of m after the given one, in order, and no more than
// limit.
func sorted(m map[jid.JID]bool, after jid.JID, limit int) []jid.JID {
	out := make([]jid.JID, 0, len(m))
	for j := range m {
		if after.IsZero() || j.String() > after.String() {
			out = append(out, j)
		}
	}
	slices.SortFunc(out, func(a, b jid.JID) int { return strings.Compare(a.String(), b.String()) })
	return out[:min(limit, len(out))]
}
