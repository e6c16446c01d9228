package caps

import (
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha3"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"

	"stanzakit.dev/xmpp/internal/quote"
	"stanzakit.dev/xmpp/stanza/disco"
	"stanzakit.dev/xmpp/stanza/form"
)

// What can be wrong with an answer, for errors.Is.
var (
	// ErrIllFormed says that an answer has no verification string (XEP-0115
	// §5.4): because something occurs in it twice, or it is ambiguous, or too
	// large to be kept.
	ErrIllFormed = errors.New("caps: ill-formed information")
	// ErrMismatch says that an answer is not what was announced.
	ErrMismatch = errors.New("caps: information does not match the announced hash")
	// ErrHash says that a hash function is unknown, or that none was named.
	ErrHash = errors.New("caps: unknown hash function")
)

// maxHashed is the size of the largest string that is hashed, in octets. Real
// software has some 4,000; more is not worth its place in a cache.
const maxHashed = 16 << 10

// hashes are the functions of the IANA registry of hash function textual names
// (XEP-0115 §8.1) for which nobody can find a second preimage; SHA-1 is mandatory.
var hashes = map[string]func() hash.Hash{
	"sha-1":    sha1.New,
	"sha-224":  sha256.New224,
	"sha-256":  sha256.New,
	"sha-384":  sha512.New384,
	"sha-512":  sha512.New,
	"sha3-256": func() hash.Hash { return sha3.New256() },
	"sha3-512": func() hash.Hash { return sha3.New512() },
}

// Ver returns the verification string of info (XEP-0115 §5.1) by the named hash
// function. The node of info has no part in it. The error wraps [ErrHash] or
// [ErrIllFormed].
func Ver(hash string, info *disco.Info) (string, error) {
	sum := hashes[hash]
	if sum == nil {
		return "", fmt.Errorf("%w %s", ErrHash, quote.ASCII(hash, maxHash))
	}
	canon, err := canonical(info)
	if err != nil {
		return "", err
	}
	s, err := appendHashed(nil, canon)
	if err != nil {
		return "", err
	}
	h := sum()
	h.Write(s)
	return base64.StdEncoding.EncodeToString(h.Sum(nil)), nil // step 9
}

// Verify checks info, an answer to a query about c, against the verification
// string (XEP-0115 §5.4 rule 3). What it returns is what the string vouches for:
// a copy of info, sorted, without node, and without what is not hashed. That, and
// not info, is what may be kept for everybody who announces the same. The error
// wraps [ErrIllFormed], [ErrMismatch], or [ErrHash] if c cannot be verified.
func (c Caps) Verify(info *disco.Info) (*disco.Info, error) {
	ver, err := Ver(c.Hash, info)
	if err != nil {
		return nil, err
	}
	if ver != c.Ver {
		return nil, ErrMismatch
	}
	return canonical(info)
}

// canonical returns the part of info that is hashed, in the order in which it is
// hashed. All sorting is by octets (XEP-0115 §5.1).
func canonical(info *disco.Info) (*disco.Info, error) {
	out := &disco.Info{Identities: slices.Clone(info.Identities), Features: slices.Clone(info.Features)}
	slices.SortFunc(out.Identities, func(a, b disco.Identity) int { // step 2
		return cmp.Or(
			strings.Compare(a.Category, b.Category), strings.Compare(a.Type, b.Type),
			strings.Compare(a.Lang, b.Lang), strings.Compare(a.Name, b.Name))
	})
	if twice(out.Identities, func(a, b disco.Identity) bool { return a == b }) { // §5.4 rule 3.3
		return nil, illFormed("an identity occurs twice")
	}
	slices.Sort(out.Features)                                          // step 4
	if twice(out.Features, func(a, b string) bool { return a == b }) { // §5.4 rule 3.4
		return nil, illFormed("a feature occurs twice")
	}
	for _, id := range out.Identities {
		if strings.ContainsRune(id.Category+id.Type+id.Lang, '/') {
			return nil, illFormed("an identity that could be another one")
		}
	}
	for _, f := range info.Forms {
		c, err := canonicalForm(f)
		if err != nil {
			return nil, err
		}
		if c != nil {
			out.Forms = append(out.Forms, c)
		}
	}
	slices.SortFunc(out.Forms, func(a, b *form.Data) int { // step 6
		return strings.Compare(a.FormType(), b.FormType())
	})
	if twice(out.Forms, func(a, b *form.Data) bool { return a.FormType() == b.FormType() }) { // §5.4 rule 3.5
		return nil, illFormed("two forms of one FORM_TYPE")
	}
	return out, nil
}

// canonicalForm returns the part of a form that is hashed, and nil if the form
// has no part in it.
func canonicalForm(f *form.Data) (*form.Data, error) {
	typ := f.Field(form.FormTypeVar)
	if typ == nil || len(typ.Values) == 0 {
		return nil, nil // §5.4 rule 3.6
	}
	if slices.ContainsFunc(typ.Values, func(v string) bool { return v != typ.Values[0] }) {
		return nil, illFormed("a form with several FORM_TYPEs") // rule 3.5
	}
	if typ.Type != form.Hidden {
		return nil, nil // rule 3.6
	}
	out := form.New(form.Result, typ.Values[0])
	for _, field := range f.Fields {
		// Fields without a name are headings; nobody acts on them.
		if field.Var == form.FormTypeVar || field.Var == "" {
			continue
		}
		values := slices.Clone(field.Values)
		slices.Sort(values) // step 7.3.2
		out.Fields = append(out.Fields, form.Field{Var: field.Var, Values: values})
	}
	slices.SortFunc(out.Fields[1:], func(a, b form.Field) int { // step 7.2
		return strings.Compare(a.Var, b.Var)
	})
	if twice(out.Fields[1:], func(a, b form.Field) bool { return a.Var == b.Var }) {
		return nil, illFormed("a form with two fields of one name") // XEP-0004 §3.2
	}
	return out, nil
}

// twice reports whether something occurs twice in what is sorted.
func twice[T any](sorted []T, same func(a, b T) bool) bool {
	return len(slices.CompactFunc(slices.Clone(sorted), same)) < len(sorted)
}

// appendHashed appends the string S of XEP-0115 §5.1.
func appendHashed(dst []byte, canon *disco.Info) ([]byte, error) {
	s := hashed{buf: dst}
	for _, id := range canon.Identities { // step 3
		s.add(id.Category, "/", id.Type, "/", id.Lang, "/", id.Name)
	}
	for _, f := range canon.Features { // step 5
		s.add(f)
	}
	for _, f := range canon.Forms { // step 7
		s.add(f.FormType())
		for _, field := range f.Fields[1:] { // all but FORM_TYPE
			s.add(field.Var)
			for _, v := range field.Values {
				s.add(v)
			}
		}
	}
	return s.buf, s.err
}

// hashed builds a string of parts, each with a '<' behind it.
type hashed struct {
	buf []byte
	err error
}

func (s *hashed) add(part ...string) {
	if s.err != nil {
		return
	}
	for _, p := range part {
		if strings.ContainsRune(p, '<') { // it would begin another part
			s.err = illFormed("a '<' in what is separated by it")
		}
		s.buf = append(s.buf, p...)
	}
	if s.buf = append(s.buf, '<'); len(s.buf) > maxHashed {
		s.err = illFormed("too large")
	}
}

func illFormed(text string) error { return fmt.Errorf("%w: %s", ErrIllFormed, text) }
