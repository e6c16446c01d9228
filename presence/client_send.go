package presence

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/roster"
	"stanzakit.dev/xmpp/stanza"
)

// Available makes the client available, or changes how it is: its server tells
// everybody who is subscribed (RFC 6121 §4.2, §4.4). On a new session ask for the
// roster first. With a negative priority the client gets no messages but those to its
// full JID. Status may be empty; extra are payloads, such as entity capabilities.
//
// Those who were sent directed presence are not told: see [Tracker.Directed]. The
// error is that of s.
//
// On a [stanza.Restorer], such as a [*stanza.Conn] that outlives its sessions, the
// Tracker is Reset on each fresh session and the client made available again, with
// the same presence: extra must not be changed afterwards. Directed presence is not
// sent again, since a room, for one, has to be entered anew.
func (t *Tracker) Available(ctx context.Context, s roster.Sender, show stanza.Show, status string, priority int8, extra ...stanza.Payload) error {
	own := stanza.Presence{Show: show, Status: plain(status), Priority: priority}
	p := own
	p.Extra = slices.Clone(extra)
	if err := s.Send(ctx, &p); err != nil {
		return err
	}
	t.mu.Lock()
	t.view.own, t.restored = own, &p
	t.mu.Unlock()
	t.outlive(s)
	return nil
}

// restoreKey finds what a Tracker leaves with a [stanza.Restorer].
type restoreKey struct{ t *Tracker }

// outlive has the Tracker begin anew on each fresh session of s.
func (t *Tracker) outlive(s roster.Sender) {
	r, ok := s.(stanza.Restorer)
	if !ok {
		return
	}
	r.Restore(restoreKey{t}, func(ctx context.Context, s stanza.Sender) error {
		t.mu.Lock()
		p, own := t.restored, t.view.own
		t.view.lapse()
		t.view.asking = nil
		if p == nil {
			t.mu.Unlock()
			return nil // not available
		}
		t.view.own = own
		t.mu.Unlock()
		again := *p
		return s.Send(ctx, &again)
	})
}

// Unavailable ends the presence of the client: its server tells everybody who is
// subscribed, and those who were sent directed presence (RFC 6121 §4.5). Status may
// be empty. The stream stays open; close it afterwards, or call Available again.
//
// From then on the client is told nothing of others, so the Tracker forgets who is
// available, without events; the server tells it again after the next Available. The
// error is that of s.
func (t *Tracker) Unavailable(ctx context.Context, s roster.Sender, status string) error {
	// §4.5.1: no show and no priority.
	if err := s.Send(ctx, &stanza.Presence{Type: stanza.UnavailablePresence, Status: plain(status)}); err != nil {
		return err
	}
	t.mu.Lock()
	t.restored = nil
	t.view.lapse() // §4.6.1: those who were told directly are told of the end, too
	t.mu.Unlock()
	t.outlive(s)
	return nil
}

// Direct sends an address directed presence: the client's presence as Available has
// last set it, and extra (RFC 6121 §4.6). It is for those who are not subscribed: a
// partner in a chat, or a room, to which it is the way in (XEP-0045 §7.2). From then
// on their presence is believed.
//
// The error is that of s, or wraps [stanza.ErrInvalid] for no address, or
// [roster.ErrFull] if 256 addresses were told already.
func (t *Tracker) Direct(ctx context.Context, s roster.Sender, to jid.JID, extra ...stanza.Payload) error {
	if to.IsZero() {
		return errNobody
	}
	t.mu.Lock()
	p := t.view.own
	// Before it is sent, because the answer may be faster than Send.
	held, known := t.view.told[to]
	err := t.view.tell(to)
	t.mu.Unlock()
	if err != nil {
		return fmt.Errorf("presence: %w: directed presence to %d addresses", err, maxTold)
	}
	p.To, p.Extra = to, extra
	if err := s.Send(ctx, &p); err != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if _, ok := t.view.told[to]; ok && known {
			t.view.told[to] = held
		} else {
			delete(t.view.told, to)
		}
		return err
	}
	return nil
}

// DirectUnavailable tells an address that the client is no longer available to it;
// with a room, it is the way out (XEP-0045 §7.14). Status may be empty. The errors
// are those of s, and [stanza.ErrInvalid] for no address.
//
// Presence from that address is believed all the same: a room tells when the client
// is out, and then its occupants are forgotten.
func (t *Tracker) DirectUnavailable(ctx context.Context, s roster.Sender, to jid.JID, status string) error {
	if to.IsZero() {
		return errNobody
	}
	if err := s.Send(ctx, &stanza.Presence{To: to, Type: stanza.UnavailablePresence, Status: plain(status)}); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.view.told[to]; ok { // else it has answered already
		t.view.told[to] = false
	}
	return nil
}

var errNobody = fmt.Errorf("presence: %w: directed presence has an address", stanza.ErrInvalid)

// plain returns the texts for a status.
func plain(status string) stanza.Texts {
	if status == "" {
		return nil
	}
	return stanza.Plain(status)
}

// Directed returns the addresses that were sent directed presence, sorted: broadcasts
// do not reach them, so that whoever calls Available tells them with Direct too, if
// they are to know. It leaves out who has gone since, from whom an error came, and
// whom DirectUnavailable has told.
func (t *Tracker) Directed() []jid.JID {
	t.mu.Lock()
	defer t.mu.Unlock()
	told := maps.Clone(t.view.told)
	maps.DeleteFunc(told, func(_ jid.JID, holds bool) bool { return !holds })
	return slices.SortedFunc(maps.Keys(told), func(a, b jid.JID) int { return strings.Compare(a.String(), b.String()) })
}

// Approve lets a contact see the account's presence (RFC 6121 §3.1.4), as
// [roster.Approve] does, and settles its request. Ask the user before.
func (t *Tracker) Approve(ctx context.Context, s roster.Sender, contact jid.JID) error {
	return t.answer(contact, roster.Approve(ctx, s, contact))
}

// Deny denies a contact's request (RFC 6121 §3.1.4), as [roster.Deny] does, and
// settles it.
func (t *Tracker) Deny(ctx context.Context, s roster.Sender, contact jid.JID) error {
	return t.answer(contact, roster.Deny(ctx, s, contact))
}

func (t *Tracker) answer(contact jid.JID, err error) error {
	if err == nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.view.settle(contact.Bare())
	}
	return err
}

// Unsubscribe ends the subscription to a contact's presence, as [roster.Unsubscribe]
// does. What is known of it is forgotten, without events: it is void, though the
// contact's server has yet to say so (RFC 6121 §3.3.3). Somebody who was sent directed
// presence stays known.
func (t *Tracker) Unsubscribe(ctx context.Context, s roster.Sender, contact jid.JID) error {
	if err := roster.Unsubscribe(ctx, s, contact); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if contact = contact.Bare(); !t.view.toldTo(contact) {
		t.view.waiting.drop(contact)
		t.view.forget(contact)
	}
	return nil
}
