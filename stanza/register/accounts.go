package register

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
)

// Facts about accounts and options. Errors of this package wrap them.
var (
	// ErrExists: there is an account with that name.
	ErrExists = errors.New("register: the account exists")
	// ErrPassword: an account cannot have that password.
	ErrPassword = errors.New("register: unusable password")
	// ErrOptions: a [Module] or [Client] cannot work with these options.
	ErrOptions = errors.New("register: unusable options")
	// ErrFields: a host asks for something that this side does not know how to
	// fill in, or this side has a field that the schema lacks.
	ErrFields = errors.New("register: unknown field")
	// ErrRegistered: the host says that there is a registration already.
	ErrRegistered = errors.New("register: registered already")
	// ErrElsewhere: the host has registration somewhere else (XEP-0077 §5).
	ErrElsewhere = errors.New("register: registration is elsewhere")
	// ErrProtocol: a host answered what is no answer.
	ErrProtocol = errors.New("register: not an answer")
)

// Accounts is where a [Module] keeps accounts: the user table of the program.
// Accounts are bare JIDs. Implementations are safe for concurrent use, and keep
// what they said they had done.
type Accounts interface {
	// Create makes an account. The error is or wraps [ErrExists] or stanza.Conflict
	// if there is one, also one that is made at the same time; and [ErrPassword] if
	// the password cannot be used. Others that are or wrap a stanza.Condition or
	// *stanza.Error are told to the client; any other one is internal-server-error.
	Create(ctx context.Context, account jid.JID, password string) error

	// SetPassword replaces the password of an account, and with it whatever else
	// the old one led to, such as tokens. Errors are as with Create.
	SetPassword(ctx context.Context, account jid.JID, password string) error

	// Delete removes an account. It is called when nothing is left of what the
	// server kept for it. No such account is no error.
	Delete(ctx context.Context, account jid.JID) error
}

// disabler is an Accounts that can lock an account, as those of package admin can.
type disabler interface {
	Disable(ctx context.Context, account jid.JID) error
}

// Applicant is who asks for a new account.
type Applicant struct {
	// Account is what the bare JID of the account would be: the name is a
	// localpart, in canonical form. Nobody has it yet, as far as is known: that is
	// settled by Create.
	Account jid.JID
	// Address is the address of the network that the stream comes from; zero if it
	// is not known.
	Address netip.Addr
	// Fields are what was filled in, the password included.
	Fields Values
}

// Format prints the account, whatever the verb.
func (a Applicant) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "register.Applicant{%s %v}", a.Account, a.Fields)
}

// refusal returns what a client is told about an error of Accounts.
func refusal(err error) error {
	switch {
	case errors.Is(err, ErrExists):
		// XEP-0077 §3.1, example 6.
		return &stanza.Error{Condition: stanza.Conflict, Text: "the name is taken", Cause: err}
	case errors.Is(err, ErrPassword):
		return &stanza.Error{Condition: stanza.NotAcceptable, Text: "the password cannot be used", Cause: err}
	}
	return err
}
