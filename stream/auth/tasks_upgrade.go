package auth

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// Namespaces of upgrade tasks (XEP-0480).
const (
	nsUpgrade      = "urn:xmpp:sasl:upgrade:0"
	nsScramUpgrade = "urn:xmpp:scram-upgrade:0"
)

// upgradePrefix begins the names of upgrade tasks for SCRAM (XEP-0480 §2.1, §3).
const upgradePrefix = "UPGR-SCRAM-"

// A KeyUpgrader is a [sasl.KeyStore] that can add keys to an account, for hash functions that it has
// none for (XEP-0480). A server with such a store, and [SASL2ServerOptions].Upgrades, has its clients
// compute them.
type KeyUpgrader interface {
	// UpgradeKeys adds keys to an account that has none for their hash; those for other hashes stay as
	// they are (XEP-0480 §4). The name is the canonical one, as Keys has returned it. That it does not
	// work out is for the store to report: the client comes in all the same, and will offer again.
	//
	// The keys are whatever the client has made of the password: the server cannot know whether they
	// fit it. Keys that the account has got meanwhile are not to be replaced. That the password was
	// changed since the client has logged in is looked at just before the call.
	UpgradeKeys(ctx context.Context, username string, keys sasl.Keys) error
}

// upgradeTask returns the name of the task that gives an account keys for a hash.
func upgradeTask(h sasl.Hash) string { return upgradePrefix + string(h) }

// upgrader is what a server needs for upgrades.
type upgrader struct {
	store      sasl.KeyStore
	keys       KeyUpgrader
	hashes     []sasl.Hash
	iterations int
}

// missing returns the tasks, of those that the client asks for, that give the account keys which it
// does not have.
func (u *upgrader) missing(ctx context.Context, account jid.JID, stamp string, asked []string) []Task {
	var tasks []Task
	for _, name := range asked {
		for _, h := range u.hashes {
			if upgradeTask(h) != name {
				continue
			}
			if _, _, err := u.store.Keys(ctx, account.Local(), h); errors.Is(err, sasl.ErrUnknownUser) {
				tasks = append(tasks, u.task(account, stamp, h))
			}
		}
	}
	return tasks
}

// task is the server's side of an upgrade (XEP-0480 §3).
func (u *upgrader) task(account jid.JID, stamp string, h sasl.Hash) Task {
	return Task{Name: upgradeTask(h), Begin: func(context.Context, TaskAccount) (TaskFunc, error) {
		salt := make([]byte, 16) // XEP-0438 §6.2
		rand.Read(salt)          // ends the program rather than fail
		asked := false
		return func(ctx context.Context, in *stream.Element, w *stream.Writer) (bool, error) {
			if !asked {
				asked = true
				w.Start(stream.Name{Space: nsScramUpgrade, Local: "salt"})
				w.Attr("iterations", strconv.Itoa(u.iterations))
				w.Text(encodeData(salt))
				w.End()
				return false, nil
			}
			var keys sasl.Keys
			salted, err := upgradeData(in, "hash")
			if err == nil {
				keys, err = sasl.KeysOf(h, salted, salt, u.iterations)
			}
			if err != nil {
				return false, &sasl.Error{Condition: sasl.MalformedRequest, Cause: err}
			}
			// The password may have changed meanwhile, and the old one would be let in by these keys for ever.
			if err := checkStamp(ctx, u.store, account.Local(), stamp); err != nil {
				return false, err
			}
			// Its error is for the store to report; the client has done what it could.
			_ = u.keys.UpgradeKeys(ctx, account.Local(), keys)
			return true, nil
		}, nil
	}}
}

// upgradeData reads the base64 in the one element of an upgrade in a <task-data/>.
func upgradeData(in *stream.Element, local string) ([]byte, error) {
	el, ok := in.Child(stream.Name{Space: nsScramUpgrade, Local: local})
	if !ok {
		return nil, fmt.Errorf("%w: no %s", errContent, local)
	}
	data, err := decodeElement(el)
	if err == nil && len(data) == 0 {
		return nil, fmt.Errorf("%w: empty %s", errContent, local)
	}
	return data, err
}

// upgradeOptions bounds the work that a client does for an upgrade, and has the password.
type upgradeOptions struct {
	password      func(context.Context) (string, error)
	minIterations int
	maxIterations int
}

// task is the client's side of an upgrade.
func (u upgradeOptions) task(h sasl.Hash) TaskFunc {
	begun := false
	return func(ctx context.Context, in *stream.Element, w *stream.Writer) (bool, error) {
		if !begun {
			begun = true
			return false, nil
		}
		salt, err := upgradeData(in, "salt")
		if err != nil {
			return false, fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		el, _ := in.Child(stream.Name{Space: nsScramUpgrade, Local: "salt"})
		digits := el.Attr("iterations")
		n, err := strconv.Atoi(digits)
		switch {
		// As in SCRAM: before anything is computed (RFC 5802 §5.1, §9).
		case err != nil || strings.HasPrefix(digits, "0") || strings.HasPrefix(digits, "+"):
			return false, fmt.Errorf("%w: iteration count of an upgrade", ErrProtocol)
		case n < u.minIterations || n > u.maxIterations:
			return false, fmt.Errorf("%w: an upgrade wants %d, not from %d to %d", sasl.ErrIterations, n, u.minIterations, u.maxIterations)
		}
		password, err := u.password(ctx)
		if err != nil {
			return false, err
		}
		salted, err := sasl.SaltedPassword(ctx, h, password, salt, n)
		if err != nil {
			return false, err
		}
		w.Start(stream.Name{Space: nsScramUpgrade, Local: "hash"})
		w.Text(encodeData(salted))
		w.End()
		return true, nil
	}
}
