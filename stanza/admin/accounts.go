package admin

import (
	"context"
	"errors"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/register"
)

// Facts about accounts and options.
var (
	// ErrExists: there is an account with that name. It is that of package
	// register.
	ErrExists = register.ErrExists
	// ErrPassword: an account cannot have that password. It is that of package
	// register.
	ErrPassword = register.ErrPassword
	// ErrUnknown: there is no such account.
	ErrUnknown = errors.New("admin: no such account")
	// ErrOptions: a [Module] cannot work with these options.
	ErrOptions = errors.New("admin: unusable options")
)

// Accounts is what a [Module] manages: the user table of the program. Accounts are
// bare JIDs. It can do what register.Accounts can, so that one value serves both.
// Implementations are safe for concurrent use, and keep what they said they had
// done. Errors that are a stanza.Condition or *stanza.Error are told to the
// administrator.
type Accounts interface {
	register.Accounts

	// Disable keeps an account from being logged in to, until Enable; it leaves
	// the account and its password as they are. The sessions that it has are not
	// its business. The error is or wraps [ErrUnknown] or stanza.ItemNotFound if there
	// is no such account. One that is in that state already is no error.
	Disable(ctx context.Context, account jid.JID) error
	// Enable ends what Disable began.
	Enable(ctx context.Context, account jid.JID) error

	// Disabled reports whether an account is disabled. One that does not exist is
	// not.
	Disabled(ctx context.Context, account jid.JID) (bool, error)

	// Count returns how many accounts there are.
	Count(ctx context.Context) (int, error)
	// List returns accounts in the order of their addresses as strings: those after
	// the given one, or from the first if that is zero, and no more than limit.
	List(ctx context.Context, after jid.JID, limit int) ([]jid.JID, error)
}

// refusal returns what an administrator is told about an error of Accounts
// (XEP-0133 §5).
func refusal(err error) error {
	switch {
	case errors.Is(err, ErrExists):
		return &stanza.Error{Condition: stanza.Conflict, Text: "the account exists", Cause: err}
	case errors.Is(err, ErrPassword):
		return &stanza.Error{Condition: stanza.NotAcceptable, Text: "the password cannot be used", Cause: err}
	case errors.Is(err, ErrUnknown):
		return unknown("", err)
	}
	return err
}

// conditionOf returns the condition that an error stands for.
func conditionOf(err error) stanza.Condition {
	var e *stanza.Error
	if errors.As(err, &e) {
		return e.Condition
	}
	var c stanza.Condition
	if errors.As(err, &c) {
		return c
	}
	return stanza.InternalServerError
}

// unknown is the error about an account that is not there.
func unknown(account string, cause error) error {
	text := "there is no such account"
	if account != "" {
		text = "there is no account " + account
	}
	return &stanza.Error{Condition: stanza.ItemNotFound, Text: text, Cause: cause}
}
