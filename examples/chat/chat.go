package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"stanzakit.dev/xmpp"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/presence"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/carbons"
	"stanzakit.dev/xmpp/stanza/delay"
	"stanzakit.dev/xmpp/stream"
)

// chat is what commands and stanzas work on. It is the [stanza.Module] for messages.
type chat struct {
	*screen
	account  jid.JID // bare
	conn     *stanza.Conn
	contacts *roster.Client
	people   *presence.Tracker
	partner  jid.JID     // who gets what is typed
	farewell string      // what to say when leaving
	started  atomic.Bool // changes of the roster are news
}

// newChat puts the parts together; conn is still to be set.
func newChat(account jid.JID, out *screen) (c *chat, err error) {
	c = &chat{screen: out, account: account.Bare()}
	if c.contacts, err = roster.NewClient(&roster.Options{Account: account, OnChange: c.rosterChanged}); err != nil {
		return nil, err
	}
	c.people, err = presence.NewTracker(&presence.TrackerOptions{
		Account:  account,
		InRoster: func(j jid.JID) bool { _, ok := c.contacts.Item(j); return ok },
		OnEvent:  func(_ context.Context, _ stanza.Sender, e presence.Event) { c.happened(e) },
	})
	return c, err
}

func (c *chat) Name() string { return "chat" }

func (c *chat) Register(m *stanza.Mux) error {
	return m.HandleMessage(stanza.Any, stream.Name{}, func(_ context.Context, _ stanza.Sender, msg *stanza.Message) error {
		switch carbon, err := carbons.Decode(msg, c.account); {
		case err == nil && carbon.Direction == carbons.Sent:
			c.message(carbon.Message, "you to "+c.name(carbon.Message.To))
		case err == nil:
			c.message(carbon.Message, c.name(carbon.Message.From))
		case errors.Is(err, carbons.ErrNone): // what is forged is not shown
			c.message(msg, c.name(msg.From))
		}
		return nil
	})
}

// name is what the user calls somebody; what they call themselves does not count.
func (c *chat) name(who jid.JID) string {
	i, _ := c.contacts.Item(who.Bare())
	return name(i, cmp.Or(who.Bare(), c.account))
}

// message shows a message.
func (c *chat) message(m *stanza.Message, who string) {
	at := time.Now().Format("15:04")
	if d, ok, _ := delay.Of(m); ok { // it was sent while the user was offline
		at = d.Stamp.Local().Format(time.DateTime)
	}
	switch {
	case m.IsError():
		c.printf("* your message to %s did not arrive: %s", who, line(m.Error.Error()))
	case m.Type != stanza.GroupChatMessage && len(m.Body) > 0:
		c.printf("[%s] %s: %s", at, who, harmless(m.Body.String()))
	}
}

// happened shows what has become of somebody.
func (c *chat) happened(e presence.Event) {
	who, status := c.name(e.JID), ""
	if e.Presence != nil {
		status = with(e.Presence.Status)
	}
	switch {
	case e.Contact() == c.account: // the user's own clients
	case e.Type == stanza.SubscribePresence:
		c.printf("* %s asks to see when you are online%s\n  /approve %[1]s or /deny %[1]s", line(e.JID.String()), status)
	case e.Type == stanza.SubscribedPresence:
		c.printf("* %s lets you see when they are online", who)
	case e.Type == stanza.UnsubscribedPresence:
		c.printf("* %s does not let you see when they are online", who)
	case e.Type == stanza.ErrorPresence:
		c.printf("* your presence did not reach %s: %s", who, line(e.Presence.Error.Error()))
	case e.Went():
		c.printf("* %s has left%s", who, status)
	case e.Came(), !e.After.IsZero() && (e.Before.Show != e.After.Show || !slices.Equal(e.Before.Status, e.After.Status)):
		c.printf("* %s is %s%s", who, moods[e.After.Show], status)
	}
}

// connection shows what has become of the connection. The roster, carbons and presence
// are restored without the help of this program.
func (c *chat) connection(e xmpp.Event) {
	switch e := e.(type) {
	case xmpp.Suspended:
		c.printf("* the connection was lost; what you write is sent when it is back")
	case xmpp.Connected:
		if e.Attempt > 0 {
			c.printf("* you are back")
		}
		for _, st := range e.Unacked {
			if m, ok := st.(*stanza.Message); ok {
				c.printf("! this may not have arrived: %s", harmless(m.Body.String()))
			}
		}
	case xmpp.Incomplete:
		c.printf("! %s", line(e.Err.Error()))
	}
}

// rosterChanged is told of each change, and of each contact in the first roster. Who
// is new may be online already, and who is gone is not seen any more.
func (c *chat) rosterChanged(_ context.Context, e roster.Event) {
	switch {
	case !c.started.Load():
	case e.Removed():
		c.printf("* %s is no longer a contact", name(e.Before, e.Before.JID))
	case e.Added():
		c.printf("* %s is a contact now", name(e.After, e.After.JID))
	case e.Before.Name != e.After.Name:
		c.printf("* %s is called %s now", name(e.Before, e.Before.JID), name(e.After, e.After.JID))
	}
	for _, seen := range c.people.Follow(e) {
		c.happened(seen)
	}
}

// errQuit is returned by do when the user wants to leave.
var errQuit = errors.New("quit")

// do carries out a line. The error is for the user to read, or errQuit.
func (c *chat) do(ctx context.Context, s string) error {
	cmd, err := parse(s)
	if err != nil {
		return err
	}
	switch cmd.verb {
	case "":
		return c.say(ctx, cmd.args[0])
	case "help":
		for _, h := range commands {
			c.printf("%-23s %s", "/"+h.verb+" "+h.args, h.help)
		}
		return nil
	case "roster":
		c.roster()
		return nil
	case "online":
		return c.people.Available(ctx, c.conn, stanza.ShowOnline, cmd.args[0], 0)
	case "chat", "away", "xa", "dnd":
		return c.people.Available(ctx, c.conn, stanza.Show(cmd.verb), cmd.args[0], 0)
	case "quit":
		c.farewell = cmd.args[0]
		return errQuit
	}
	who, err := c.find(cmd.args[0])
	if err != nil {
		return err
	}
	asks := slices.ContainsFunc(c.people.Requests(), func(p *stanza.Presence) bool { return p.From == who })
	item, known := c.contacts.Item(who)
	switch {
	case cmd.verb == "to":
		c.partner = who
		c.printf("* to %s", c.name(who))
		return nil
	case cmd.verb == "add":
		if err := roster.Set(ctx, c.conn, roster.Item{JID: who, Name: cmp.Or(cmd.args[1], item.Name), Groups: item.Groups}); err != nil {
			return err
		}
		return roster.Subscribe(ctx, c.conn, who)
	case cmd.verb == "approve" && asks: // else it would approve what may come some day
		return c.people.Approve(ctx, c.conn, who)
	case cmd.verb == "deny" && asks:
		return c.people.Deny(ctx, c.conn, who)
	case cmd.verb == "remove" && known:
		return roster.Remove(ctx, c.conn, who)
	case cmd.verb == "rename" && known:
		return roster.Set(ctx, c.conn, roster.Item{JID: who, Name: cmd.args[1], Groups: item.Groups})
	}
	return errors.New("they have not asked, or are not a contact")
}

// say sends a line to who it names, or else to the partner.
func (c *chat) say(ctx context.Context, text string) error {
	if text == "" {
		return nil
	}
	to := c.partner
	if who, rest, ok := strings.Cut(text, ": "); ok {
		if named, err := c.find(strings.TrimSpace(who)); err == nil {
			to, text = named, strings.TrimSpace(rest)
		}
	}
	if to.IsZero() {
		return errors.New("to whom? See /to, or write NAME: TEXT")
	}
	return c.conn.Send(ctx, &stanza.Message{ID: stanza.NewID(), To: to, Type: stanza.ChatMessage, Body: stanza.Plain(text)})
}

// find returns the bare JID of who the user means: a contact, by its name or the first
// part of its address, or any address.
func (c *chat) find(who string) (jid.JID, error) {
	var found []jid.JID
	for i := range c.contacts.All() {
		if strings.EqualFold(who, i.Name) || strings.EqualFold(who, i.JID.Local()) || strings.EqualFold(who, i.JID.String()) {
			found = append(found, i.JID.Bare())
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) > 1:
		return jid.JID{}, fmt.Errorf("more than one is called that: use an address, such as %s", found[0])
	case !strings.Contains(who, "@"):
		return jid.JID{}, errors.New("there is no such contact")
	}
	j, err := jid.Parse(who)
	return j.Bare(), err
}

// roster shows the contacts, by group; the last ones are in none.
func (c *chat) roster() {
	list := c.contacts.List()
	for _, group := range append(list.Groups(), "") {
		for i := range list.Group(group) {
			c.printf("  %-10s %s", line(group), contact(i, c.people))
		}
	}
}
