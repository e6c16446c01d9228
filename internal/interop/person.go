package interop

import (
	"context"
	"testing"
)

// Person is a client of somebody who uses it to talk with others: slixmpp or @xmpp/client, which take the same commands and report the same events.
// It runs until the test ends and is for one goroutine at a time.
type Person struct{ dialogue }

// PersonCommand is what a Person is told to do. Which fields count depends on Do. Each command is answered with an event, "did" or "refused", in order.
type PersonCommand struct {
	// Do is: roster, add (or change), remove, presence, say, carbons, archive, block, unblock, blocked; and for slixmpp only: about, which
	// asks everything that it can ask about the server and an account; adduser, by which an administrator adds an account.
	Do string `json:"do"`
	// JID is a contact, the addressee, or with whom the archived conversation was.
	JID    string   `json:"jid,omitempty"`
	Name   string   `json:"name,omitempty"`
	Groups []string `json:"groups,omitempty"`
	// Body is that of a message, or the password of an account to add.
	Body string `json:"body,omitempty"`
	// Type, Show and Status are those of presence.
	Type   string `json:"type,omitempty"`
	Show   string `json:"show,omitempty"`
	Status string `json:"status,omitempty"`
}

// PersonEvent is one thing that happened to a Person. Which fields are set depends on Event.
type PersonEvent struct {
	// Event is: session; did, refused; roster (a push), presence, message, carbon, blocked and unblocked (pushes); failed, disconnected.
	Event string `json:"event"`
	// Do is the command that was carried out or refused, the latter with a Condition.
	Do        string `json:"do"`
	Condition string `json:"condition"`
	// JID is the own address of a session.
	JID string `json:"jid"`
	// Items are a roster, or the one item of a push; JIDs are blocked addresses.
	Items []PersonContact `json:"items"`
	JIDs  []string        `json:"jids"`
	// Messages are from an archive.
	Messages []PersonEvent `json:"messages"`
	// From, To, Type, Show, Status, Body and Stamp are of a stanza. A carbon has a Direction too, sent or received.
	From      string `json:"from"`
	To        string `json:"to"`
	Type      string `json:"type"`
	Show      string `json:"show"`
	Status    string `json:"status"`
	Body      string `json:"body"`
	Stamp     string `json:"stamp"`
	Direction string `json:"direction"`
	// Facts are the answers of about.
	Facts map[string]string `json:"facts"`
}

// PersonContact is an item of a roster.
type PersonContact struct {
	JID          string   `json:"jid"`
	Name         string   `json:"name"`
	Subscription string   `json:"subscription"`
	Groups       []string `json:"groups"`
}

// Tell tells the client to do something.
func (p *Person) Tell(c PersonCommand) error { return p.say(c) }

// Next returns the next event.
func (p *Person) Next(ctx context.Context) (*PersonEvent, error) {
	e := new(PersonEvent)
	return e, p.hear(ctx, e)
}

// StartPerson starts a client that logs in and does what it is told.
func (s Slixmpp) StartPerson(t testing.TB, o SlixmppOptions) *Person {
	t.Helper()
	return &Person{s.run(t, "slixmpp_person.py", o)}
}

// StartPerson starts a client that logs in and does what it is told.
func (x XMPPJS) StartPerson(t testing.TB, o XMPPJSOptions) *Person {
	t.Helper()
	return &Person{x.run(t, "person.js", o)}
}
