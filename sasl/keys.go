package sasl

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"strconv"
)

// DefaultIterations is the iteration count for new keys. The floor of RFC 5802 is 4096, XEP-0438 §7
// asks for at least 10,000. The server does this work once per password and the clients once per
// login unless they cache keys, phones and browsers included: 10,000 costs those some tens of
// milliseconds and is accepted by all of them. Keys cannot be strengthened later without the
// password (RFC 5802 §9), so raise it for accounts that need more.
const DefaultIterations = 10_000

// saltSize is the length of new salts, and of those made up for unknown users: XEP-0438 §6.2 asks
// for at least 16 bytes.
const saltSize = 16

// Keys is what a server stores for one account and one hash function: enough to verify a login and
// to prove itself to the client, not enough to log in (RFC 5802 §3). Printing or logging Keys shows
// no secret; [Keys.MarshalText] does, and is for storage.
type Keys struct {
	Hash       Hash
	Salt       []byte
	Iterations int
	StoredKey  []byte // H(ClientKey)
	ServerKey  []byte // HMAC(SaltedPassword, "Server Key")
}

// DeriveKeys computes the keys of a password. The password is prepared with OpaqueString (RFC 8265
// §4.2); salt should be 16 random bytes of its own for each account and hash. It takes from
// milliseconds to seconds, as iterations says, and gives up when ctx ends. Errors wrap
// [ErrPassword], [ErrIterations] (below [MinIterations]), [ErrConfig] (no such hash, no salt) or
// the error of ctx.
func DeriveKeys(ctx context.Context, hash Hash, password string, salt []byte, iterations int) (Keys, error) {
	salted, err := SaltedPassword(ctx, hash, password, salt, iterations)
	if err != nil {
		return Keys{}, err
	}
	return KeysOf(hash, salted, salt, iterations)
}

// SaltedPassword computes what the keys of a password are made of (RFC 5802 §3), for those who have
// to hand it to a server (XEP-0480): it is as good as the password to that server. Arguments, time
// and errors are those of [DeriveKeys].
func SaltedPassword(ctx context.Context, hash Hash, password string, salt []byte, iterations int) ([]byte, error) {
	if err := checkDerivation(hash, salt, iterations); err != nil {
		return nil, err
	}
	password, err := preparePassword(password)
	if err != nil {
		return nil, fmt.Errorf("sasl: %w", err)
	}
	salted, err := saltedPassword(ctx, hash, password, salt, iterations)
	if err != nil {
		return nil, fmt.Errorf("sasl: deriving keys: %w", err)
	}
	return salted, nil
}

// KeysOf makes keys of the result of [SaltedPassword], with the same hash, salt and iterations.
// Errors wrap [ErrIterations] or [ErrConfig] (no such hash, no salt, the wrong length).
func KeysOf(hash Hash, salted, salt []byte, iterations int) (Keys, error) {
	if err := checkDerivation(hash, salt, iterations); err != nil {
		return Keys{}, err
	}
	if len(salted) != hash.Size() {
		return Keys{}, fmt.Errorf("sasl: %w: a salted password of %d bytes, not %d", ErrConfig, len(salted), hash.Size())
	}
	ck := clientKeys(hash, salted)
	return Keys{
		Hash:       hash,
		Salt:       bytes.Clone(salt),
		Iterations: iterations,
		StoredKey:  hash.sum(ck.ClientKey),
		ServerKey:  ck.ServerKey,
	}, nil
}

func checkDerivation(hash Hash, salt []byte, iterations int) error {
	switch {
	case !hash.Available():
		return fmt.Errorf("sasl: %w: unknown hash %s", ErrConfig, quote(string(hash)))
	case len(salt) == 0:
		return fmt.Errorf("sasl: %w: empty salt", ErrConfig)
	case iterations < MinIterations:
		return fmt.Errorf("sasl: %w: %d, least is %d", ErrIterations, iterations, MinIterations)
	}
	return nil
}

// clientKeys computes ClientKey and ServerKey of RFC 5802 §3.
func clientKeys(h Hash, salted []byte) ClientKeys {
	return ClientKeys{
		ClientKey: h.mac(salted, "Client Key"),
		ServerKey: h.mac(salted, "Server Key"),
	}
}

// check refuses keys that no login could be verified with. Its errors quote nothing secret.
func (k Keys) check() error {
	switch size := k.Hash.Size(); {
	case size == 0:
		return fmt.Errorf("%w: keys of unknown hash %s", ErrConfig, quote(string(k.Hash)))
	case len(k.StoredKey) != size || len(k.ServerKey) != size:
		return fmt.Errorf("%w: %s keys have the wrong length", ErrConfig, k.Hash)
	case len(k.Salt) == 0:
		return fmt.Errorf("%w: keys without a salt", ErrConfig)
	case k.Iterations < MinIterations:
		return fmt.Errorf("%w: keys have %d, least is %d", ErrIterations, k.Iterations, MinIterations)
	}
	return nil
}

// clone copies the keys, slices included.
func (k Keys) clone() Keys {
	k.Salt, k.StoredKey, k.ServerKey = bytes.Clone(k.Salt), bytes.Clone(k.StoredKey), bytes.Clone(k.ServerKey)
	return k
}

// MarshalText returns the keys in the form in which several servers and databases store them (after
// RFC 5803):
//
//	SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
//
// with salt and keys in base64. The text is a secret.
func (k Keys) MarshalText() ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, fmt.Errorf("sasl: %w", err)
	}
	b := append([]byte(scramPrefix), k.Hash...)
	b = append(b, '$')
	b = strconv.AppendInt(b, int64(k.Iterations), 10)
	b = append(b, ':')
	b = base64.StdEncoding.AppendEncode(b, k.Salt)
	b = append(b, '$')
	b = base64.StdEncoding.AppendEncode(b, k.StoredKey)
	b = append(b, ':')
	return base64.StdEncoding.AppendEncode(b, k.ServerKey), nil
}

// UnmarshalText reads the form that MarshalText writes. It accepts nothing else: no spaces, no
// other spelling of numbers or base64. On error the keys are unchanged, and the error quotes
// nothing of the text.
func (k *Keys) UnmarshalText(text []byte) error {
	bad := func(what string) error {
		return fmt.Errorf("sasl: %w: stored keys: %s", ErrConfig, what)
	}
	rest, ok := bytes.CutPrefix(text, []byte(scramPrefix))
	parts := bytes.Split(rest, []byte("$"))
	if !ok || len(parts) != 3 {
		return bad("not of the form SCRAM-<hash>$<iterations>:<salt>$<StoredKey>:<ServerKey>")
	}
	// Without a colon the part behind it is empty, which none of them may be.
	count, salt, _ := bytes.Cut(parts[1], []byte(":"))
	stored, server, _ := bytes.Cut(parts[2], []byte(":"))
	n := Keys{Hash: Hash(parts[0])}
	if !n.Hash.Available() {
		return bad("unknown hash")
	}
	var err error
	if n.Iterations, err = parseIterations(string(count)); err != nil {
		return fmt.Errorf("sasl: %w: stored keys: not a positive number", ErrIterations)
	}
	for _, f := range []struct {
		dst  *[]byte
		src  []byte
		name string
	}{{&n.Salt, salt, "salt"}, {&n.StoredKey, stored, "StoredKey"}, {&n.ServerKey, server, "ServerKey"}} {
		if *f.dst, err = decodeBase64(string(f.src)); err != nil {
			return bad(f.name + " is not base64")
		}
	}
	if err := n.check(); err != nil {
		return fmt.Errorf("sasl: stored keys: %w", err)
	}
	*k = n
	return nil
}

// Format prints hash and iteration count, whatever the verb.
func (k Keys) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "sasl.Keys{%s, %d iterations, redacted}", quote(string(k.Hash)), k.Iterations)
}

// LogValue is what log/slog shows of the keys.
func (k Keys) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(k)) }
