package register

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stream"
)

// farewell bounds the wait for sessions that are ended, and removal the whole of
// a cancellation, which goes on when its session is gone.
const (
	farewell = 5 * time.Second
	removal  = time.Minute
)

// oldPassword is a field of the form with which a password is changed (XEP-0077
// §13.4.3).
const oldPassword = "old_password"

// owner returns the account that asks about itself. Requests to anybody else are
// not for this module.
func (m *Module) owner(ctx context.Context, iq *stanza.IQ) (jid.JID, error) {
	account := iq.From.Bare()
	if to := iq.To; !to.IsZero() && to != account && to != account.DomainJID() {
		return jid.JID{}, stanza.ServiceUnavailable
	}
	ok, err := m.host.Exists(ctx, account)
	switch {
	case err != nil:
		return jid.JID{}, err
	case !ok || account.Local() == "":
		// A guest, say: it has authenticated, and yet has no account.
		return jid.JID{}, errNobody
	}
	return account, nil
}

var errNobody = errors.New("register: no account")

// about answers a get (XEP-0077 §3.1, example 3).
func (m *Module) about(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	account, err := m.owner(ctx, iq)
	if errors.Is(err, errNobody) {
		return nil, stanza.ServiceUnavailable
	}
	if err != nil {
		return nil, err
	}
	var q Query
	if err := q.DecodeElement(iq.Element()); err != nil {
		return nil, err
	}
	return &Query{
		Registered:   true,
		Instructions: "You have an account here.",
		// §3.1: the password element may be empty, and nobody here knows what is to be in it.
		Fields: Values{Username: account.Local(), Password: ""},
	}, nil
}

// refused is an error reply with a form, which asks for more (XEP-0077 §3.2,
// example 16; §3.3, example 23).
type refused struct {
	err  *stanza.Error
	form *form.Data
}

// Error implements error.
func (r *refused) Error() string { return r.err.Error() }

// Unwrap returns the error without the form.
func (r *refused) Unwrap() error { return r.err }

// change answers a set: a cancellation or a change of the password.
func (m *Module) change(ctx context.Context, s stanza.Sender, st stanza.Stanza) error {
	iq, ok := st.(*stanza.IQ)
	if !ok {
		return nil
	}
	err := m.perform(ctx, s, iq)
	var r *refused
	if errors.As(err, &r) {
		reply := iq.ErrorReply(r.err)
		reply.Payload = &Query{Form: r.form}
		return s.Send(ctx, reply)
	}
	return err
}

// perform does what a set asks for, and sends the result.
func (m *Module) perform(ctx context.Context, s stanza.Sender, iq *stanza.IQ) error {
	account, ownerErr := m.owner(ctx, iq)
	if ownerErr != nil && !errors.Is(ownerErr, errNobody) {
		return ownerErr
	}
	var q Query
	if err := q.DecodeElement(iq.Element()); err != nil {
		return err
	}
	cancels := q.Remove || q.Form != nil && q.Form.FormType() == formCancel
	switch {
	case ownerErr != nil && cancels: // XEP-0077 §3.2
		return stanza.RegistrationRequired
	case ownerErr != nil: // §3.3
		return stanza.UnexpectedRequest
	case cancels && m.NoCancel, !cancels && m.NoChange:
		return stanza.NotAllowed
	}
	if cancels {
		return m.cancel(ctx, s, iq, account, &q)
	}
	return m.password(ctx, s, iq, account, &q)
}

// within reports an error if the account is over its rate.
func (m *Module) within(account jid.JID) error {
	if m.byAccount.allow(account, m.Changes.OrDefault(defaultChanges), time.Now()) {
		return nil
	}
	return &stanza.Error{Condition: stanza.ResourceConstraint, Text: "too many changes, try again later"}
}

// password changes the password of the account that asks (XEP-0077 §3.3).
func (m *Module) password(ctx context.Context, s stanza.Sender, iq *stanza.IQ, account jid.JID, q *Query) error {
	if !m.InsecureWithoutTLS && !secure(m.host.Resource(iq.From)) {
		// §3.3: the channel is not safe enough.
		return &stanza.Error{Condition: stanza.NotAuthorized, Type: stanza.ModifyError, Text: "not without TLS"}
	}
	formType := formPassword
	if q.Form != nil && q.Form.FormType() == NS {
		formType = NS
	}
	got, err := values(q, formType)
	switch {
	case err != nil:
		return err
	case got[Username] == "" || got[Password] == "":
		// §3.3: incomplete; and an empty password changes nothing.
		return bad("a change of the password needs the user name and the new password")
	case !names(account, got[Username]):
		// §3.1.1: it would be a second identity. Nobody changes the password of
		// somebody else here.
		return &stanza.Error{Condition: stanza.NotAcceptable, Text: "that is not the name of this account"}
	}
	if err := m.within(account); err != nil {
		return err
	}
	if m.Verify != nil {
		if err := m.verify(ctx, account, q, oldPassword); err != nil {
			return &refused{
				&stanza.Error{Condition: stanza.NotAuthorized, Type: stanza.ModifyError, Text: "the present password is needed", Cause: err},
				passwordForm(),
			}
		}
	}
	if err := m.Accounts.SetPassword(ctx, account, got[Password]); err != nil {
		return refusal(err)
	}
	err = s.Send(ctx, iq.Result(nil))
	if !m.KeepSessions {
		end(context.WithoutCancel(ctx), m.host, account, iq.From, stream.Reset)
	}
	return err
}

// cancel removes the account that asks (XEP-0077 §3.2). It is locked first, so
// that nobody logs in to what is left of it, and deleted last, so that nobody
// registers its name while something is.
func (m *Module) cancel(ctx context.Context, s stanza.Sender, iq *stanza.IQ, account jid.JID, q *Query) error {
	if err := m.within(account); err != nil {
		return err
	}
	if m.Verify != nil {
		if err := m.verify(ctx, account, q, string(Password)); err != nil {
			return &refused{
				&stanza.Error{Condition: stanza.NotAllowed, Text: "the password is needed", Cause: err},
				cancelForm(),
			}
		}
	} else if !q.Remove {
		return bad("a form that was not asked for")
	}
	if err := lock(ctx, m.Accounts, account); err != nil {
		return err
	}
	// Now, since it has no session in a moment. What is left to do is up to the
	// server, and goes on without the session.
	sent := s.Send(ctx, iq.Result(nil))
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), removal)
	defer stop()
	if err := remove(ctx, m.host, m.Accounts, account, iq.From); err != nil {
		return fmt.Errorf("register: cancelling: %w", errors.Join(err, sent))
	}
	return sent
}

// Remove removes an account, on behalf of somebody who may do that: it locks the
// account, with a method Disable(ctx, account) error if accounts has one and
// otherwise with a password that nobody knows, ends its sessions, makes the host
// forget it, and deletes it. After an error the account was not touched, or is there and locked,
// and Remove may be called again; or it is gone, and what the host got for it at the
// last moment may be left. ctx bounds all of it.
func Remove(ctx context.Context, h Host, accounts Accounts, account jid.JID) error {
	if err := lock(ctx, accounts, account); err != nil {
		return err
	}
	return remove(ctx, h, accounts, account, jid.JID{})
}

// remove is Remove for an account that is locked, on behalf of one of its sessions or
// of somebody else.
func remove(ctx context.Context, h Host, accounts Accounts, account, own jid.JID) error {
	// Before anything is forgotten, and waited for: what such a session is about to
	// store would be there for the next owner of the name.
	end(ctx, h, account, own, stream.NotAuthorized)
	if err := h.Forget(ctx, account); err != nil {
		return err
	}
	if err := accounts.Delete(ctx, account); err != nil {
		return err
	}
	// Once more, for what has come in between: messages for an account that was
	// still there, and a session of somebody who was about to log in when it was
	// locked. The next owner of the name is not to find them.
	return h.Forget(ctx, account)
}

// lock keeps an account from being logged in to.
func lock(ctx context.Context, accounts Accounts, account jid.JID) error {
	if d, ok := accounts.(disabler); ok {
		return d.Disable(ctx, account)
	}
	return accounts.SetPassword(ctx, account, rand.Text()+rand.Text())
}

// end ends the sessions of an account but one.
func end(ctx context.Context, h stanza.Host, account, but jid.JID, reason stream.Condition) {
	ctx, stop := context.WithTimeout(ctx, farewell)
	defer stop()
	var wg sync.WaitGroup
	for _, r := range h.Resources(account) {
		if r.Addr() == but {
			continue
		}
		// Ends with the session or with ctx; waited for below.
		wg.Go(func() { r.End(ctx, &stream.Error{Condition: reason}) })
	}
	wg.Wait()
}

// secure reports whether a session is inside TLS: it says so itself, or has a
// stream that does. One that does not say is not.
func secure(r stanza.Resource) bool {
	var sec stream.Security
	switch r := r.(type) {
	case interface{ Session() *stream.Session }:
		session := r.Session()
		if session == nil {
			return false
		}
		sec = session.Security()
	case interface{ Security() stream.Security }:
		sec = r.Security()
	}
	return sec.Secure()
}

// names reports whether that is what an account calls itself: by its localpart or,
// as in the forms of XEP-0077 §3.2 and §3.3, by its address.
func names(account jid.JID, name string) bool {
	if j, err := jid.New(name, account.Domain(), ""); err == nil {
		return j == account
	}
	j, err := jid.Parse(name)
	return err == nil && j == account
}

// verify checks the password that is in a field of the form.
func (m *Module) verify(ctx context.Context, account jid.JID, q *Query, field string) error {
	var f *form.Field
	if q.Form != nil {
		f = q.Form.Field(field)
	}
	switch {
	case f == nil || f.String() == "" || len(f.String()) > maxField:
		return ErrPassword
	case !names(account, q.Form.Field(string(Username)).String()):
		return ErrPassword
	}
	return m.Verify(ctx, account, f.String())
}

// passwordForm asks for the old password (XEP-0077 §3.3, example 23).
func passwordForm() *form.Data {
	d := form.New(form.Form, formPassword,
		field(Username),
		form.Field{Var: oldPassword, Type: form.TextPrivate, Label: "Old password", Required: true},
		form.Field{Var: string(Password), Type: form.TextPrivate, Label: "New password", Required: true})
	d.Title, d.Instructions = "Password change", []string{"Use this form to change your password."}
	return d
}

// cancelForm asks for the password (XEP-0077 §3.2, example 16).
func cancelForm() *form.Data {
	d := form.New(form.Form, formCancel, field(Username), field(Password))
	d.Title, d.Instructions = "Cancel registration", []string{"Use this form to cancel your registration."}
	return d
}
