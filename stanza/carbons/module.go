package carbons

import (
	"context"
	"errors"
	"slices"
	"sync"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Module is the server's side: it lets clients ask for copies, by request (§4, §5)
// and while binding by Bind 2 (XEP-0386 §3.2), and sends them. The zero value is
// ready, for one server; it is safe for concurrent use.
//
// Put it behind modules that add to messages what the copies are to show, such as
// an archive. What it keeps goes with the sessions: which of them want copies, and
// of each account that has such a session, hashes of the ids of its latest 64
// messages that were copied.
type Module struct {
	host stanza.Host

	mu       sync.RWMutex
	accounts map[jid.JID]*account // by bare JID; those with a client that wants copies
}

// account is an account with at least one client that wants copies.
type account struct {
	resources []stanza.Resource // replaced, never changed; the host has one value for each
	recent    recent
}

var (
	_ stanza.HostModule     = (*Module)(nil)
	_ stanza.Featurer       = (*Module)(nil)
	_ stanza.StreamFeaturer = (*Module)(nil)
	_ stanza.AfterRouter    = (*Module)(nil)
	_ stanza.SessionWatcher = (*Module)(nil)
)

var errNoHost = errors.New("carbons: the module is for a server")

// Name implements [stanza.Module].
func (m *Module) Name() string { return "carbons" }

// Attach implements [stanza.HostModule].
func (m *Module) Attach(h stanza.Host) error {
	if m.host != nil {
		return errors.New("carbons: the module has a server already")
	}
	m.host = h
	return nil
}

// Features implements [stanza.Featurer] (§3, §6.2).
func (m *Module) Features() []string { return []string{NS, NSRules} }

// Register implements [stanza.Module].
func (m *Module) Register(mux *stanza.Mux) error {
	if m.host == nil {
		return errNoHost
	}
	for name, do := range map[stream.Name]func(stanza.Resource){enableName: m.enable, disableName: m.disable} {
		err := mux.HandleIQ(stanza.SetIQ, name, func(_ context.Context, iq *stanza.IQ) (stanza.Payload, error) {
			if !iq.To.IsZero() && iq.To != iq.From.Bare() {
				// §4: what concerns the own account is asked of it.
				return nil, stanza.ServiceUnavailable
			}
			r := m.host.Resource(iq.From)
			if r == nil {
				return nil, stanza.NotAllowed // §4.1, §5.1: a client that is not hosted here
			}
			do(r) // §10.1: doing it again is no error
			return nil, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// StreamFeatures implements [stanza.StreamFeaturer]: Bind 2.
func (m *Module) StreamFeatures() []stream.Feature {
	return []stream.Feature{{
		Name:   enableName,
		Inline: []stream.Inline{{In: stream.InBinding, Space: NS, Accept: m.accept}},
	}}
}

// accept implements [stream.Inline.Accept]. XEP-0386 §3.2: copies MUST be enabled
// at this point, and there is no answer.
func (m *Module) accept(_ context.Context, n *stream.Negotiation, request *stream.Element, _ *stream.Writer) (stream.Outcome, error) {
	if request.Name() != enableName {
		return stream.Outcome{}, nil // XEP-0388 §2.3: what is not understood is ignored
	}
	if m.host == nil {
		return stream.Outcome{}, &stream.Error{Condition: stream.InternalServerError, Cause: errNoHost}
	}
	r := m.host.Resource(n.Identity())
	if r == nil {
		// Somebody else has got the address, or the account has been removed.
		return stream.Outcome{}, &stream.Error{Condition: stream.Conflict, Text: "the resource is gone"}
	}
	m.enable(r)
	return stream.Outcome{}, nil
}

// keptName is what is stored with the session of a resource that gets copies.
const keptName = "carbons"

// RestoreResource implements [stanza.ResourceRestorer].
func (m *Module) RestoreResource(r stanza.Resource, kept func(name string) []byte) {
	if kept(keptName) != nil {
		m.change(r, true)
	}
}

// enable gives copies to r.
func (m *Module) enable(r stanza.Resource) {
	m.change(r, true)
	if k, ok := r.(stanza.KeepingResource); ok {
		k.Keep(keptName, []byte{1})
	}
	// Those are no resources any more of which nobody said that they are gone: of
	// clients that had bound, and whose stream was never there. It can be r, too,
	// if its end and this request met. The host is asked without the lock.
	for _, other := range m.find(r.Addr().Bare()).resources {
		if m.host.Resource(other.Addr()) != other {
			m.change(other, false)
		}
	}
}

// disable gives no more copies to r.
func (m *Module) disable(r stanza.Resource) {
	m.change(r, false)
	if k, ok := r.(stanza.KeepingResource); ok {
		k.Keep(keptName, nil)
	}
}

// change puts r on the list of its account, or takes it off.
func (m *Module) change(r stanza.Resource, on bool) {
	bare := r.Addr().Bare()
	m.mu.Lock()
	defer m.mu.Unlock()
	a := m.accounts[bare]
	if a == nil {
		if !on {
			return
		}
		if m.accounts == nil {
			m.accounts = make(map[jid.JID]*account)
		}
		a = new(account)
		m.accounts[bare] = a
	}
	if slices.Contains(a.resources, r) == on {
		return
	}
	next := make([]stanza.Resource, 0, len(a.resources)+1)
	for _, other := range a.resources {
		if other != r {
			next = append(next, other)
		}
	}
	if on {
		next = append(next, r)
	}
	if a.resources = next; len(next) == 0 {
		delete(m.accounts, bare)
	}
}

// side is one of the two accounts that a message concerns.
type side struct {
	resources []stanza.Resource // that want copies
	recent    *recent           // nil if there are none
}

// find returns the side of an account.
func (m *Module) find(bare jid.JID) side {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.locked(bare)
}

func (m *Module) locked(bare jid.JID) side {
	if a := m.accounts[bare]; a != nil {
		return side{a.resources, &a.recent}
	}
	return side{}
}

// SessionUp implements [stanza.SessionWatcher].
func (m *Module) SessionUp(context.Context, stanza.Resource) {}

// SessionGone implements [stanza.SessionWatcher].
func (m *Module) SessionGone(_ context.Context, r stanza.Resource) { m.change(r, false) }

// AfterRoute implements [stanza.AfterRouter]: it sends the copies of a message.
func (m *Module) AfterRoute(_ context.Context, t *stanza.Transit) {
	if t.Kind != stanza.MessageKind || t.Type == string(stanza.GroupChatMessage) {
		return
	}
	from, to := t.From.Bare(), t.To.Bare()
	m.mu.RLock()
	sender, addressee := m.locked(from), m.locked(to)
	m.mu.RUnlock()
	if t.Refused != nil {
		sender = side{} // It was not sent, and the sender knows.
	}
	if from == to || len(t.Delivered) == 0 && !t.Stored {
		// A copy of what was sent is enough for a message to oneself; and what was
		// dropped on the way, or by a list of blocked people, is shown to nobody.
		addressee = side{}
	}
	if sender.recent == nil && addressee.recent == nil {
		return
	}
	found := traitsOf(t.Element)
	if sender.copied(t, found, Sent, to) {
		sender.send(t, Sent, from)
	}
	if addressee.copied(t, found, Received, from) {
		addressee.send(t, Received, to)
	}
}

// copied decides whether this side gets copies of a message that it has exchanged
// with peer, and remembers that it did.
func (s side) copied(t *stanza.Transit, found traits, d Direction, peer jid.JID) bool {
	if s.recent == nil {
		return false
	}
	typ := typeOf(t)
	id, ok := t.Element.AttrBytes("id")
	if typ == stanza.ErrorMessage {
		// §6.1: it was sent in response to an eligible message, which went the
		// other way. §10.3: what the error says of that message does not count.
		return ok && !found.excluded(typ) && s.recent.has(mark(1-d, peer, id))
	}
	other := t.From
	if d == Sent {
		other = t.To
	}
	if !found.eligible(typ, d, other.IsFull()) {
		return false
	}
	if ok {
		s.recent.add(mark(d, peer, id))
	}
	return true
}

// send sends copies to the resources that have not got the message otherwise. They
// go past all rules of delivery, so there are no carbons of them, and who bounces
// one bounces it to his own account (§10.3).
func (s side) send(t *stanza.Transit, d Direction, account jid.JID) {
	n := 0
	for _, r := range s.resources {
		if wants(t, r) {
			n++
		}
	}
	if n == 0 {
		return
	}
	all, err := encode(t, d, account)
	if err != nil {
		return // a message whose namespaces cannot be carried over
	}
	copies := make([]copyTo, 0, n)
	for _, r := range s.resources {
		if len(copies) < n && wants(t, r) {
			copies = append(copies, copyTo{all, r.Addr()})
			// A client that is gone or does not read is the host's business.
			_ = r.TrySend(&copies[len(copies)-1])
		}
	}
}

// wants reports whether r is to get a copy. §7: it MUST NOT if it got the message
// itself. §8: nor if it has sent it.
func wants(t *stanza.Transit, r stanza.Resource) bool {
	return r != t.Sender && r.Addr() != t.From && !slices.Contains(t.Delivered, r)
}
