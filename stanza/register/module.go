package register

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// Module is in-band registration on a server. Without it there is none; a program
// that has it lets strangers make accounts, within the bounds below. Accounts is
// required, everything else has a default. Set the fields before the server
// starts; a Module belongs to one server, and is not copied.
type Module struct {
	// Accounts is where accounts are kept. Required, unless URL is set and
	// NoChange and NoCancel too.
	Accounts Accounts

	// Allow decides who may have which account: after what was filled in has been
	// found to be complete and within the rates, and before the account is made.
	// It is where names are reserved, invitations asked for, and passwords looked
	// at; jid.Confusable tells names apart that look alike. An error that is a
	// stanza.Condition or *stanza.Error is told to the client, any other one is
	// internal-server-error. Nil means everybody.
	Allow func(ctx context.Context, who Applicant) error

	// Fields are what has to be filled in besides [Username] and [Password], such
	// as [Email]. Allow gets to see them, and nothing here keeps them.
	Fields []Field

	// Instructions are for a human who is about to register. Empty means a
	// sentence in English.
	Instructions string

	// URL is where to register with a browser. If it is set, nobody can make an
	// account in-band: they are told to go there (XEP-0077 §5).
	URL string

	// Verify checks the password of an account, which is then asked for, in a
	// form, before a password is changed or an account cancelled (§3.2, §3.3).
	// Nil means that whoever is logged in may do both.
	Verify func(ctx context.Context, account jid.JID, password string) error

	// NoNew, NoChange and NoCancel switch parts of the protocol off: new accounts,
	// changes of passwords, and cancellations. Requests are answered with
	// not-allowed, and new accounts are not offered.
	NoNew, NoChange, NoCancel bool

	// KeepSessions leaves the other sessions of an account alone when it changes
	// its password. False: they are ended (stream.Reset), since they may be those
	// of somebody who should not have known the old one. XEP-0077 is silent about
	// that.
	KeepSessions bool

	// PerAddress is how often one address of the network may try to make an
	// account, and Total how often all may together. Attempts count, if they are
	// complete, whether they succeed or not: each tells whether a name is taken.
	// An address of IPv6 stands for its /64. Loopback addresses and unknown ones
	// count in Total only. Zero means 1 in 5 minutes and 10 at once, and 10 per
	// second and 1,000 at once. One more is answered with resource-constraint.
	PerAddress, Total stream.Rate

	// Changes is how often one account may change its password or try to cancel
	// its registration. Zero means once a minute and 5 at once.
	Changes stream.Rate

	// PerStream is how many requests one stream may make before it authenticates,
	// questions included; with one more it is closed with policy-violation. Zero
	// means 10, and 20 is the most.
	PerStream int

	// Address returns where a stream comes from, from the context of its
	// negotiation: the same function as auth.ServerOptions.Address. Nil means to
	// ask the host, if that knows (a method Address like this); otherwise
	// addresses are unknown.
	Address func(ctx context.Context) netip.Addr

	// InsecureWithoutTLS allows all of this on streams without TLS, for loopback
	// and tests: everybody on the way learns the passwords.
	InsecureWithoutTLS bool

	host      Host
	found     func(context.Context) netip.Addr
	byAddress limiter[netip.Prefix]
	total     limiter[struct{}]
	byAccount limiter[jid.JID]
}

// Host is what a [Module] needs of its server.
type Host interface {
	stanza.Host

	// Forget is called for an account that is being removed and can no longer log
	// in. It ends its sessions, cancels its subscriptions and deletes what is kept
	// for it. It may be called again after an error.
	Forget(ctx context.Context, account jid.JID) error
}

// defaultPerStream and maxPerStream bound PerStream: a negotiation takes 24 rounds
// in all.
const (
	defaultPerStream = 10
	maxPerStream     = 20
)

// Name implements [stanza.Module].
func (m *Module) Name() string { return "register" }

// Features implements [stanza.Featurer] (XEP-0077 §10).
func (m *Module) Features() []string { return []string{NS} }

// Attach implements [stanza.HostModule]. The error wraps [ErrOptions].
func (m *Module) Attach(h stanza.Host) error {
	host, ok := h.(Host)
	if !ok {
		return fmt.Errorf("%w: the server has no method Forget", ErrOptions)
	}
	if err := m.check(); err != nil {
		return err
	}
	m.host = host
	if a, ok := h.(interface {
		Address(ctx context.Context) netip.Addr
	}); ok {
		m.found = a.Address
	}
	return nil
}

// check finds options that cannot be used.
func (m *Module) check() error {
	offers := m.URL == "" && !m.NoNew
	if m.Accounts == nil && (offers || !m.NoChange || !m.NoCancel) {
		return fmt.Errorf("%w: no Accounts", ErrOptions)
	}
	for _, f := range m.Fields {
		if !f.Known() || f == Key {
			return fmt.Errorf("%w: %q is no field to ask for", ErrOptions, string(f))
		}
	}
	if m.PerStream < 0 || m.PerStream > maxPerStream {
		return fmt.Errorf("%w: PerStream is %d, not from 1 to %d", ErrOptions, m.PerStream, maxPerStream)
	}
	for name, r := range map[string]stream.Rate{"PerAddress": m.PerAddress, "Total": m.Total, "Changes": m.Changes} {
		// Put so that it holds for what is no number, too.
		if r != (stream.Rate{}) && !(r.PerSecond > 0 && r.Burst >= 1) {
			return fmt.Errorf("%w: %s: %g per second and %g at once let nothing pass", ErrOptions, name, r.PerSecond, r.Burst)
		}
	}
	return nil
}

// Register implements [stanza.Module]: what accounts ask about themselves. It
// comes after Attach.
func (m *Module) Register(mux *stanza.Mux) error {
	if m.host == nil {
		return fmt.Errorf("%w: Register before Attach", ErrOptions)
	}
	if err := mux.HandleIQ(stanza.GetIQ, queryName, m.about); err != nil {
		return err
	}
	return mux.Handle(stanza.IQKind, string(stanza.SetIQ), queryName, stanza.HandlerFunc(m.change))
}

// StreamFeatures implements [stanza.StreamFeaturer]: new accounts, and that traces
// show no passwords, whoever sends them.
func (m *Module) StreamFeatures() []stream.Feature {
	hide := stream.Feature{Name: queryName, Advertise: conceal}
	if m.NoNew {
		return []stream.Feature{hide}
	}
	f := stream.Feature{
		Name:      featureName,
		Needs:     stream.Secure,
		Forbids:   stream.Authenticated,
		Advertise: advertise,
		Claims:    claims,
		Accept:    m.accept,
	}
	if m.InsecureWithoutTLS {
		f.Needs = 0
	}
	return []stream.Feature{hide, f}
}

// required are the fields that have to be filled in, in the order of the schema.
func (m *Module) required() []Field {
	out := []Field{Username, Password}
	for _, f := range schema {
		if slices.Contains(m.Fields, f) && !slices.Contains(out, f) {
			out = append(out, f)
		}
	}
	return out
}
