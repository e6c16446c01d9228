package main

import (
	"bufio"
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
)

// user is a row of the table that the site had before it had chat.
type user struct {
	name, full, team string
	keys             sasl.Keys // what is kept of the password; see password.
}

// users is the table. It is read once and does not change, so it needs no lock.
type users struct {
	rows   []*user
	byName map[string]*user
	nobody *user // whose password costs as much to check as anybody's, and is none
}

// maxUsers bounds the table.
const maxUsers = 10_000

// readUsers reads a table. Its errors name lines and quote nothing of them.
func readUsers(r io.Reader) (*users, error) {
	t := &users{byName: make(map[string]*user)}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		if line := lines.Text(); line != "" && line[0] != '#' {
			if err := t.add(line); err != nil {
				return nil, fmt.Errorf("user table, line %d: %w", n, err)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("user table: %w", err)
	}
	if len(t.rows) == 0 {
		return nil, errors.New("user table: nobody in it")
	}
	var err error
	t.nobody, err = nobody(t.iterations())
	return t, err
}

// add reads one row.
func (t *users) add(line string) error {
	cells := strings.Split(line, ":")
	if len(cells) < 4 {
		return errors.New("not name:full name:team:password")
	}
	u := &user{name: cells[0], full: cells[1], team: cells[2]}
	// A name becomes the first part of an address. One that is not in the form that
	// addresses have there would belong to nobody who logs in to chat.
	address, err := jid.New(u.name, "example.org", "")
	switch {
	case err != nil:
		return err
	case address.Local() != u.name || u.name == "":
		return errors.New("a name that cannot be the name of an XMPP account")
	case u.team == "":
		return errors.New("no team")
	case t.byName[u.name] != nil:
		return errors.New("a name that was there before")
	case len(t.rows) >= maxUsers:
		return errors.New("too many users")
	}
	if u.keys, err = password(strings.Join(cells[3:], ":")); err != nil {
		return err
	}
	t.rows = append(t.rows, u)
	t.byName[u.name] = u
	return nil
}

// password reads what the table has of a password, in either of two forms:
//
//	pbkdf2_sha256$<iterations>$<salt>$<hash>
//	SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>
//
// The first is what the site has always written, and many others do. That hash is
// by its definition what RFC 5802 §3 calls the SaltedPassword of SCRAM-SHA-256, so
// that the keys for XMPP follow from it: nobody has to set a new password, and the
// server never gets to see one. But it is also all that a client of SCRAM needs, so
// whoever steals a table of the first form can log in to chat with it. With the
// second form nobody can; -convert writes it.
func password(cell string) (sasl.Keys, error) {
	if strings.HasPrefix(cell, "SCRAM-") {
		var k sasl.Keys
		if err := k.UnmarshalText([]byte(cell)); err != nil {
			return k, err
		}
		if k.Hash != sasl.SHA256 {
			return k, errors.New("keys for another hash than SHA-256")
		}
		return k, nil
	}
	parts := strings.Split(cell, "$")
	if len(parts) != 4 || parts[0] != "pbkdf2_sha256" {
		return sasl.Keys{}, errors.New("a password in a form that is not known")
	}
	iterations, err1 := strconv.Atoi(parts[1])
	salt, err2 := base64.StdEncoding.DecodeString(parts[2])
	hash, err3 := base64.StdEncoding.DecodeString(parts[3])
	if err1 != nil || err2 != nil || err3 != nil {
		return sasl.Keys{}, errors.New("a password that cannot be read") // nothing of it in the error
	}
	return sasl.KeysOf(sasl.SHA256, hash, salt, iterations)
}

// nobody returns a row that no password fits.
func nobody(iterations int) (*user, error) {
	salt, hash := make([]byte, 16), make([]byte, sha256.Size)
	rand.Read(salt)
	rand.Read(hash)
	keys, err := sasl.KeysOf(sasl.SHA256, hash, salt, iterations)
	return &user{keys: keys}, err
}

// iterations is how much work a password is: that of the first row, for names that
// nobody has. In a table where rows differ, those of other rows can be told from them.
func (t *users) iterations() int { return t.rows[0].keys.Iterations }

// find returns a user, or nil.
func (t *users) find(name string) *user { return t.byName[name] }

// team returns the members of a team, in the order of the table.
func (t *users) team(name string) []*user {
	return slices.Collect(func(yield func(*user) bool) {
		for _, u := range t.rows {
			if u.team == name && !yield(u) {
				return
			}
		}
	})
}

// teammates reports whether two names are those of members of one team.
func (t *users) teammates(a, b string) bool {
	one, other := t.find(a), t.find(b)
	return one != nil && other != nil && one.team == other.team
}

// login returns the user with a name and password, or nil. It takes the same time
// whether there is such a user or not.
func (t *users) login(name, password string) *user {
	u := t.find(name)
	if u == nil {
		t.nobody.fits(password)
		return nil
	}
	if !u.fits(password) {
		return nil
	}
	return u
}

// fits checks a password as the site has always done, byte for byte as it was typed.
// SCRAM prepares passwords before (RFC 8265), which makes no difference to ASCII
// and to most of the rest; package sasl has a table.
func (u *user) fits(password string) bool {
	hash, err := pbkdf2.Key(sha256.New, password, u.keys.Salt, u.keys.Iterations, sha256.Size)
	if err != nil {
		return false
	}
	k, err := sasl.KeysOf(sasl.SHA256, hash, u.keys.Salt, u.keys.Iterations)
	return err == nil && subtle.ConstantTimeCompare(k.StoredKey, u.keys.StoredKey) == 1
}

// write writes the table with passwords in the second form.
func (t *users) write(w io.Writer) error {
	var b bytes.Buffer
	for _, u := range t.rows {
		keys, err := u.keys.MarshalText()
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s:%s:%s:%s\n", u.name, u.full, u.team, keys)
	}
	_, err := w.Write(b.Bytes())
	return err
}
