package sasl

import (
	"bytes"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"unicode/utf8"
)

// Plain returns the mechanism PLAIN (RFC 4616), which hands the password to the server. It is not
// part of [Default]: add it behind the others, on a client only for servers that have nothing
// better. Both sides refuse it on a channel that is not Secure.
func Plain() Mechanism {
	return Mechanism{
		Name:      "PLAIN",
		Plaintext: true,
		NewClient: newPlainClient,
		NewServer: newPlainServer,
	}
}

// errInsecure is the error of both sides for a mechanism that is not for use in the clear.
func errInsecure(mechanism string) *Error {
	return &Error{Condition: EncryptionRequired, Text: mechanism + " needs a confidential channel"}
}

// plainClient is the client side of one PLAIN exchange.
type plainClient struct {
	cfg  *ClientConfig
	over bool
}

func newPlainClient(c *ClientConfig) (Client, error) {
	cfg, err := c.clone(needUsername | needPassword)
	if err != nil {
		return nil, err
	}
	// RFC 4616 §5: no PLAIN without adequate data security.
	if !cfg.Secure {
		return nil, errInsecure("PLAIN")
	}
	return &plainClient{cfg: cfg}, nil
}

// Next implements [Client].
func (p *plainClient) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	if p.over {
		return nil, false, aborted("", ErrFinished)
	}
	p.over = true
	if len(in) != 0 {
		return nil, false, aborted("the server speaks first", errors.New("PLAIN has no challenge"))
	}
	password, err := p.cfg.password(ctx)
	if err != nil {
		return nil, false, err
	}
	// RFC 4616 §2: [authzid] NUL authcid NUL passwd. None holds a NUL: names were checked, and OpaqueString
	// refuses control characters.
	return []byte(p.cfg.AuthzID + "\x00" + p.cfg.Username + "\x00" + password), true, nil
}

// Format prints the name of the mechanism and nothing of the exchange, whatever the verb.
func (p *plainClient) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sasl.Client(PLAIN)") }

// plainServer is the server side of one PLAIN exchange.
type plainServer struct {
	cfg    *ServerConfig
	prompt bool
	over   bool
	id     Identity
}

func newPlainServer(c *ServerConfig) (Server, error) {
	cfg, err := c.clone(needStore)
	if err != nil {
		return nil, err
	}
	if !cfg.Secure {
		return nil, errInsecure("PLAIN")
	}
	return &plainServer{cfg: cfg}, nil
}

// Identity implements [Server].
func (p *plainServer) Identity() Identity { return p.id }

// Next implements [Server].
func (p *plainServer) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	if p.over {
		return nil, false, malformed("", ErrFinished)
	}
	// RFC 4422 §3.3, §5: without an initial response, ask for one with an empty challenge.
	if in == nil && !p.prompt {
		p.prompt = true
		return []byte{}, false, nil
	}
	p.over = true
	id, password, err := parsePlain(in)
	if err != nil {
		return nil, false, malformed("", err)
	}
	a, err := p.cfg.lookup(ctx, id.AuthcID, p.cfg.PlainHash)
	if err != nil {
		return nil, false, err
	}
	if err := a.checkPassword(ctx, password); err != nil {
		return nil, false, err
	}
	id.AuthcID = a.name
	if err := p.cfg.authorize(ctx, id); err != nil {
		return nil, false, err
	}
	p.id = id
	return nil, true, nil
}

// checkPassword compares a password as it was received with the keys of the account. Whether there
// is such an account, and whether the password can be prepared, makes no difference to the work.
func (a account) checkPassword(ctx context.Context, password string) error {
	// RFC 4616 §2: if the preparation fails, verification fails. The empty password is hashed in its place.
	prepared, err := preparePassword(password)
	if err != nil {
		a.known = 0
	}
	salted, err := saltedPassword(ctx, a.keys.Hash, prepared, a.keys.Salt, a.keys.Iterations)
	if err != nil {
		return temporary(err)
	}
	storedKey := a.keys.Hash.sum(clientKeys(a.keys.Hash, salted).ClientKey)
	if subtle.ConstantTimeCompare(storedKey, a.keys.StoredKey)&a.known != 1 {
		return &Error{Condition: NotAuthorized}
	}
	return nil
}

// parsePlain reads the message of RFC 4616 §2. Its errors quote nothing: the password is in there.
func parsePlain(msg []byte) (Identity, string, error) {
	if len(msg) > maxMessage {
		return Identity{}, "", fmt.Errorf("PLAIN message is longer than %d bytes", maxMessage)
	}
	if !utf8.Valid(msg) {
		return Identity{}, "", errors.New("PLAIN message is not UTF-8")
	}
	parts := bytes.Split(msg, []byte{0})
	// authcid and passwd have at least one character, and no part holds a NUL.
	if len(parts) != 3 || len(parts[1]) == 0 || len(parts[2]) == 0 {
		return Identity{}, "", errors.New("PLAIN message is not [authzid] NUL authcid NUL passwd")
	}
	if len(parts[0]) > maxName || len(parts[1]) > maxName {
		return Identity{}, "", fmt.Errorf("%w: longer than %d bytes", ErrUsername, maxName)
	}
	return Identity{AuthcID: string(parts[1]), AuthzID: string(parts[0])}, string(parts[2]), nil
}

// Format prints the name of the mechanism and nothing of the exchange, whatever the verb.
func (p *plainServer) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sasl.Server(PLAIN)") }
