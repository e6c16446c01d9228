package admin

import (
	"context"
	"fmt"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stanza/register"
	"stanzakit.dev/xmpp/stream"
)

// action is one of the use cases of XEP-0133 §4.
type action struct {
	node string // behind NS and a '#'
	name string // for a person
	form *form.Data
	// run does it, on behalf of an administrator, a full JID. The form was found to
	// be filled in as asked; it is nil if there is none to fill in.
	run func(ctx context.Context, admin jid.JID, in *form.Data) (*form.Data, error)
}

// farewell bounds the wait for sessions that are ended.
const farewell = 5 * time.Second

// actions returns what the module can do.
func (m *Module) actions() []action {
	return []action{
		{"add-user", "Add User", question("Adding a User", "Fill out this form to add a user.",
			accountQuestion("The Jabber ID for the account to be added"),
			form.Field{Var: passwordField, Type: form.TextPrivate, Label: "The password for this account", Required: true},
			form.Field{Var: verifyField, Type: form.TextPrivate, Label: "Retype password", Required: true}), m.add},
		{"delete-user", "Delete User", question("Deleting a User", "Fill out this form to delete a user.",
			accountsQuestion("The Jabber ID(s) to delete")), m.remove},
		{"disable-user", "Disable User", question("Disabling a User", "Fill out this form to disable a user.",
			accountsQuestion("The Jabber ID(s) to disable")), m.disable},
		{"reenable-user", "Re-Enable User", question("Re-Enabling a User", "Fill out this form to re-enable a user.",
			accountsQuestion("The Jabber ID(s) to re-enable")), m.enable},
		{"end-user-session", "End User Session", question("Ending a User Session", "Fill out this form to end a user's session.",
			accountsQuestion("The Jabber ID(s) for which to end sessions")), m.endSessions},
		{"change-user-password", "Change User Password", question("Changing a User Password", "Fill out this form to change a user's password.",
			accountQuestion("The Jabber ID for this account"),
			form.Field{Var: passwordField, Type: form.TextPrivate, Label: "The password for this account", Required: true}), m.setPassword},
		{"user-stats", "Get User Statistics", question("Get User Statistics", "Fill out this form to gather user statistics.",
			accountQuestion("The Jabber ID for statistics")), m.stats},
		{"get-registered-users-num", "Get Number of Registered Users", nil, m.count},
		{"get-disabled-users-num", "Get Number of Disabled Users", nil, m.countDisabled},
		{"get-online-users-num", "Get Number of Online Users", nil, m.countOnline},
		{"get-registered-users-list", "Get List of Registered Users", listQuestion("Requesting List of Registered Users", "the registered users"), m.list},
		{"get-disabled-users-list", "Get List of Disabled Users", listQuestion("Requesting List of Disabled Users", "the disabled users"), m.listDisabled},
		{"get-online-users-list", "Get List of Online Users", listQuestion("Requesting List of Online Users", "the online users"), m.listOnline},
		{"announce", "Send Announcement to Online Users", question("Making an Announcement",
			"Fill out this form to make an announcement to all active users of this service.",
			form.Field{Var: announcementField, Type: form.TextMulti, Label: "Announcement", Required: true}), m.announce},
	}
}

// add is XEP-0133 §4.1.
func (m *Module) add(ctx context.Context, _ jid.JID, in *form.Data) (*form.Data, error) {
	account, err := m.target(in)
	if err != nil {
		return nil, err
	}
	secret, err := password(in)
	if err != nil {
		return nil, err
	}
	if in.Field(verifyField).String() != secret {
		return nil, unfit("the passwords differ")
	}
	return nil, refusal(m.Accounts.Create(ctx, account, secret))
}

// each does something for every account that a form names, after all of them have
// been found to be there. What it would lock the administrator out with is not
// done.
func (m *Module) each(ctx context.Context, admin jid.JID, in *form.Data, lockout bool, do func(jid.JID) error) (*form.Data, error) {
	accounts, err := m.targets(in, false)
	if err != nil {
		return nil, err
	}
	for _, account := range accounts {
		if lockout && account == admin.Bare() {
			return nil, &stanza.Error{Condition: stanza.NotAllowed, Text: "not the own account"}
		}
		if err := m.exists(ctx, account); err != nil {
			return nil, err
		}
	}
	for i, account := range accounts {
		if err := do(account); err != nil {
			return nil, &stanza.Error{
				Condition: conditionOf(refusal(err)), Cause: err,
				Text: fmt.Sprintf("failed at %s, after %d of %d", shown(account), i, len(accounts)),
			}
		}
	}
	return nil, nil
}

// exists is an error if there is no such account.
func (m *Module) exists(ctx context.Context, account jid.JID) error {
	switch ok, err := m.host.Exists(ctx, account); {
	case err != nil:
		return err
	case !ok:
		return unknown(shown(account), nil)
	}
	return nil
}

// remove is XEP-0133 §4.2.
func (m *Module) remove(ctx context.Context, admin jid.JID, in *form.Data) (*form.Data, error) {
	return m.each(ctx, admin, in, true, func(account jid.JID) error {
		return register.Remove(ctx, m.host, m.Accounts, account)
	})
}

// disable is XEP-0133 §4.3: no session stays, and everything else does.
func (m *Module) disable(ctx context.Context, admin jid.JID, in *form.Data) (*form.Data, error) {
	return m.each(ctx, admin, in, true, func(account jid.JID) error {
		if err := m.Accounts.Disable(ctx, account); err != nil {
			return err
		}
		m.end(ctx, m.host.Resources(account), stream.NotAuthorized)
		return nil
	})
}

// enable is XEP-0133 §4.4.
func (m *Module) enable(ctx context.Context, admin jid.JID, in *form.Data) (*form.Data, error) {
	return m.each(ctx, admin, in, false, func(account jid.JID) error { return m.Accounts.Enable(ctx, account) })
}

// endSessions is XEP-0133 §4.5: all sessions of a bare JID, one of a full JID. A
// session that is not there is none that has to be ended.
func (m *Module) endSessions(ctx context.Context, _ jid.JID, in *form.Data) (*form.Data, error) {
	whose, err := m.targets(in, true)
	if err != nil {
		return nil, err
	}
	var sessions []stanza.Resource
	for _, j := range whose {
		if err := m.exists(ctx, j.Bare()); err != nil {
			return nil, err
		}
		for _, r := range m.host.Resources(j.Bare()) {
			if j.IsBare() || r.Addr() == j {
				sessions = append(sessions, r)
			}
		}
	}
	// The client may connect again.
	m.end(ctx, sessions, stream.Reset)
	return nil, nil
}

// end ends sessions, all at the same time.
func (m *Module) end(ctx context.Context, sessions []stanza.Resource, reason stream.Condition) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer stop()
	var wg sync.WaitGroup
	for _, r := range sessions {
		// Ends with the session or with ctx; waited for below.
		wg.Go(func() { r.End(ctx, &stream.Error{Condition: reason}) })
	}
	wg.Wait()
}

// setPassword is XEP-0133 §4.7, which does not say what becomes of sessions.
func (m *Module) setPassword(ctx context.Context, admin jid.JID, in *form.Data) (*form.Data, error) {
	account, err := m.target(in)
	if err != nil {
		return nil, err
	}
	secret, err := password(in)
	if err != nil {
		return nil, err
	}
	if err := m.exists(ctx, account); err != nil {
		return nil, err
	}
	if err := m.Accounts.SetPassword(ctx, account, secret); err != nil {
		return nil, refusal(err)
	}
	if !m.KeepSessions {
		var others []stanza.Resource
		for _, r := range m.host.Resources(account) {
			if r.Addr() != admin {
				others = append(others, r)
			}
		}
		m.end(ctx, others, stream.Reset)
	}
	return nil, nil
}

// stats is XEP-0133 §4.10, as far as it is known, and without addresses of the
// network.
func (m *Module) stats(ctx context.Context, _ jid.JID, in *form.Data) (*form.Data, error) {
	account, err := m.target(in)
	if err != nil {
		return nil, err
	}
	if err := m.exists(ctx, account); err != nil {
		return nil, err
	}
	out := outcome()
	if h, ok := m.host.(interface {
		RosterSize(ctx context.Context, account jid.JID) (int, error)
	}); ok {
		n, err := h.RosterSize(ctx, account)
		if err != nil {
			return nil, err
		}
		out.Fields = append(out.Fields, number("rostersize", "Number of roster items", n))
	}
	names := form.Field{Var: "onlineresources", Type: form.TextMulti, Label: "Online resources"}
	for _, r := range m.host.Resources(account) {
		if len(names.Values) < maxItems {
			names.Values = append(names.Values, r.Addr().Resource())
		}
	}
	out.Fields = append(out.Fields, names)
	return out, nil
}

// count is XEP-0133 §4.13.
func (m *Module) count(ctx context.Context, _ jid.JID, _ *form.Data) (*form.Data, error) {
	n, err := m.Accounts.Count(ctx)
	if err != nil {
		return nil, err
	}
	return outcome(number("registeredusersnum", "The number of registered users", n)), nil
}

// disabled calls f with the accounts that are disabled, in order, after the given
// one, until f returns false. It looks at every account on the way.
func (m *Module) disabled(ctx context.Context, after jid.JID, f func(jid.JID) bool) error {
	for {
		some, err := m.Accounts.List(ctx, after, maxItems)
		if err != nil {
			return err
		}
		for _, account := range some {
			is, err := m.Accounts.Disabled(ctx, account)
			if err != nil || is && !f(account) {
				return err
			}
		}
		if len(some) < maxItems {
			return nil
		}
		after = some[len(some)-1]
	}
}

// countDisabled is XEP-0133 §4.14.
func (m *Module) countDisabled(ctx context.Context, _ jid.JID, _ *form.Data) (*form.Data, error) {
	n := 0
	if err := m.disabled(ctx, jid.JID{}, func(jid.JID) bool { n++; return true }); err != nil {
		return nil, err
	}
	return outcome(number("disabledusersnum", "The number of disabled users", n)), nil
}

// online returns the accounts that have a session.
func (m *Module) online() map[jid.JID]bool {
	out := make(map[jid.JID]bool)
	for _, r := range m.host.Resources(jid.JID{}) {
		out[r.Addr().Bare()] = true
	}
	return out
}

// countOnline is XEP-0133 §4.15.
func (m *Module) countOnline(_ context.Context, _ jid.JID, _ *form.Data) (*form.Data, error) {
	return outcome(number("onlineusersnum", "The number of online users", len(m.online()))), nil
}

// list is XEP-0133 §4.18.
func (m *Module) list(ctx context.Context, _ jid.JID, in *form.Data) (*form.Data, error) {
	limit, after, err := page(in)
	if err != nil {
		return nil, err
	}
	accounts, err := m.Accounts.List(ctx, after, limit)
	if err != nil {
		return nil, err
	}
	return outcome(addresses("registereduserjids", "The list of all users", accounts[:min(limit, len(accounts))])), nil
}

// listDisabled is XEP-0133 §4.19.
func (m *Module) listDisabled(ctx context.Context, _ jid.JID, in *form.Data) (*form.Data, error) {
	limit, after, err := page(in)
	if err != nil {
		return nil, err
	}
	var accounts []jid.JID
	err = m.disabled(ctx, after, func(account jid.JID) bool {
		accounts = append(accounts, account)
		return len(accounts) < limit
	})
	if err != nil {
		return nil, err
	}
	return outcome(addresses("disableduserjids", "The list of all disabled users", accounts)), nil
}

// listOnline is XEP-0133 §4.20.
func (m *Module) listOnline(_ context.Context, _ jid.JID, in *form.Data) (*form.Data, error) {
	limit, after, err := page(in)
	if err != nil {
		return nil, err
	}
	return outcome(addresses("onlineuserjids", "The list of all online users", sorted(m.online(), after, limit))), nil
}

// announce is XEP-0133 §4.23: to everybody who has a session now, and is
// available.
func (m *Module) announce(_ context.Context, _ jid.JID, in *form.Data) (*form.Data, error) {
	text := in.Field(announcementField).Text()
	switch {
	case text == "":
		return nil, unfit("the announcement is missing")
	case len(text) > maxAnnouncement:
		return nil, unfit("the announcement is too long")
	}
	for _, r := range m.host.Resources(jid.JID{}) {
		if r.Presence() == nil {
			continue
		}
		// A client that does not read loses its session, and nothing else is to be
		// done about it.
		_ = r.TrySend(&stanza.Message{From: r.Addr().DomainJID(), To: r.Addr(), Type: stanza.HeadlineMessage, Body: stanza.Plain(text)})
	}
	return nil, nil
}
