package posh

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// maxAge is how long the contents of a document are believed at most (RFC 7711
// §6 permits less than the document says).
const maxAge = 24 * time.Hour

// ErrDocument is wrapped by errors about a document that is not as RFC 7711 §3
// has it, or says of itself that it is not valid.
var ErrDocument = errors.New("posh: unusable document")

// document is what is fetched: either fingerprints or a reference.
type document struct {
	fingerprints []fingerprint
	reference    *url.URL
	expires      time.Duration
}

// fingerprint is one descriptor: hashes of the same certificate, by name.
type fingerprint map[string][]byte

// hashes are those that are supported, by their names in the IANA registry of
// hash function textual names.
var hashes = map[string]func([]byte) []byte{
	"sha-256": func(b []byte) []byte { h := sha256.Sum256(b); return h[:] },
	"sha-384": func(b []byte) []byte { h := sha512.Sum384(b); return h[:] },
	"sha-512": func(b []byte) []byte { h := sha512.Sum512(b); return h[:] },
}

// parseDocument parses a document of either kind.
func parseDocument(body []byte) (*document, error) {
	fail := func(why string) (*document, error) { return nil, fmt.Errorf("%w: %s", ErrDocument, why) }
	// A map, because a struct would take members whose names differ in case.
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return fail("no JSON object")
	}
	d := new(document)
	var err error
	if d.expires, err = parseExpires(members["expires"]); err != nil {
		return nil, err
	}
	list, possession := members["fingerprints"]
	ref, reference := members["url"]
	switch {
	case possession && reference: // RFC 7711 §3.1
		return fail("both fingerprints and a url")
	case reference:
		var s string
		if json.Unmarshal(ref, &s) != nil {
			return fail("the url is no string")
		}
		if d.reference, err = httpsURL(s); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrDocument, err)
		}
		return d, nil
	case !possession:
		return fail("neither fingerprints nor a url")
	}
	var descriptors []map[string]json.RawMessage
	if json.Unmarshal(list, &descriptors) != nil {
		return fail("the fingerprints are no array of objects")
	}
	if len(descriptors) == 0 { // RFC 7711 §3.1
		return fail("no fingerprints")
	}
	for _, descriptor := range descriptors {
		d.fingerprints = append(d.fingerprints, parseFingerprint(descriptor))
	}
	return d, nil
}

// parseExpires: RFC 7711 §3.1, §3.2: a non-negative integer, and zero means that
// the document is not valid.
func parseExpires(raw json.RawMessage) (time.Duration, error) {
	s := string(raw)
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, fmt.Errorf("%w: expires is no count of seconds", ErrDocument)
	}
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil { // too large
		return maxAge, nil
	}
	if n == 0 {
		return 0, fmt.Errorf("%w: it has expired", ErrDocument)
	}
	return min(time.Duration(n)*time.Second, maxAge), nil
}

// parseFingerprint returns the supported hashes of a descriptor. One that cannot
// be read makes all of the descriptor worthless: it matches no certificate.
func parseFingerprint(descriptor map[string]json.RawMessage) fingerprint {
	f := fingerprint{}
	for name := range hashes {
		raw, ok := descriptor[name]
		if !ok {
			continue
		}
		var s string
		if json.Unmarshal(raw, &s) != nil {
			return nil
		}
		// The examples of RFC 7711 §3.1 leave out the padding in one place.
		value, err := base64.RawStdEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
		if err != nil {
			return nil
		}
		f[name] = value
	}
	return f
}

// matches reports whether a certificate, as DER, is in the document (RFC 7711
// §3.3). All supported hashes of one descriptor have to be right: they are about
// one certificate.
func (d *document) matches(der []byte) bool {
	sums := fingerprint{}
	for name, hash := range hashes {
		sums[name] = hash(der)
	}
	for _, f := range d.fingerprints {
		ok := len(f) > 0
		for name, value := range f {
			ok = ok && bytes.Equal(value, sums[name])
		}
		if ok {
			return true
		}
	}
	return false
}

// httpsURL parses an absolute URL, for HTTPS and without a password in it.
func httpsURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return nil, errNotHTTPS
	}
	u.Fragment, u.RawFragment = "", ""
	return u, nil
}

var errNotHTTPS = errors.New("posh: a reference to something other than an HTTPS URL")
