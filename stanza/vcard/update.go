package vcard

import (
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strings"

	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// NSUpdate is the namespace of what announces a picture in presence (XEP-0153
// §3.1).
const NSUpdate = "vcard-temp:x:update"

var (
	updateName      = stream.Name{Space: NSUpdate, Local: "x"}
	updatePhotoName = stream.Name{Space: NSUpdate, Local: "photo"}
)

// Update is the payload of presence that announces a picture (XEP-0153 §3.1, §4.1).
// A client that works with pictures puts one into every presence that it
// broadcasts or directs at somebody; it starts with the zero Update, which
// announces nothing yet, until it has read its own profile.
type Update struct {
	// Known says that it is known whether there is a picture.
	Known bool
	// Hash is [Photo.Hash] of the picture, or "" if there is none. It is set only if
	// Known is.
	Hash string
}

// Announce returns the Update for a picture, or for none if p is nil or has no
// data.
func Announce(p *Photo) Update { return Update{Known: true, Hash: p.Hash()} }

// UpdateOf returns what a presence announces, and false if it has no such payload
// or one that is malformed.
func UpdateOf(p *stanza.Presence) (Update, bool) {
	el, ok := p.Payload(updateName)
	if !ok {
		return Update{}, false
	}
	var u Update
	return u, u.DecodeElement(el) == nil
}

// Fetch reports whether a contact that announces u has a picture to fetch, when
// cached is the hash of the one that is at hand, or "" (XEP-0153 §3.2). A picture
// depends on nothing but its hash: it need not be fetched for each contact.
// Check the hash of what was fetched before keeping it under that name.
func (u Update) Fetch(cached string) bool {
	return u.Known && u.Hash != "" && u.Hash != strings.ToLower(cached)
}

// Advice is what a client does about the announcement of another one of the same
// account.
type Advice uint8

// The advice of XEP-0153 §4.3.
const (
	// Keep announcing what is announced.
	Keep Advice = iota
	// Stop announcing: send the zero Update from now on. When the other client, and
	// all like it, are gone, Reset is possible.
	Stop
	// Reset: send the zero Update at once, get the own profile, and announce what
	// picture it has (§4.4).
	Reset
)

// Other returns what a client that announces u does when other came in available
// presence of another client of its account; supported is false if there was no
// announcement in it (XEP-0153 §4.3).
func (u Update) Other(other Update, supported bool) Advice {
	switch {
	case !supported:
		// Rule 1: it may change the profile without saying so, and nobody may poll.
		return Stop
	case !other.Known, other == u:
		// Rule 2, first scenario: it announces nothing of its own; third: the same.
		return Keep
	}
	// Second scenario, "MUST retrieve the vCard"; third, "MUST defer to the content
	// of the retrieved vCard".
	return Reset
}

// AppendXML implements [stanza.Payload].
func (u Update) AppendXML(dst []byte) ([]byte, error) {
	if u.Hash != "" && (!u.Known || !isHash(u.Hash)) {
		return dst, fmt.Errorf("vcard: %w: not the hash of a picture", stanza.ErrInvalid)
	}
	w := stream.NewWriter(dst)
	w.Start(updateName)
	if u.Known {
		w.Start(updatePhotoName)
		if u.Hash != "" {
			// XEP-0153 §3.1: lower-case is preferred.
			w.Text(strings.ToLower(u.Hash))
		}
		w.End()
	}
	w.End()
	return w.Bytes()
}

// DecodeElement implements [stanza.Decoder]. The error is a [*stanza.Error]: what
// is announced is no SHA-1 in hexadecimal digits.
func (u *Update) DecodeElement(el *stream.Element) error {
	if el.Name() != updateName {
		return &stanza.Error{Condition: stanza.BadRequest, Text: "not an announcement of a picture"}
	}
	*u = Update{}
	photo, ok := el.Child(updatePhotoName)
	if !ok {
		return nil
	}
	text := strings.TrimSpace(string(photo.AppendText(nil)))
	if text != "" && !isHash(text) {
		return &stanza.Error{Condition: stanza.BadRequest, Text: "not the hash of a picture"}
	}
	// XEP-0153 §3.1: "Entities need to be able to process both".
	*u = Update{Known: true, Hash: strings.ToLower(text)}
	return nil
}

// isHash reports whether s is a SHA-1 in hexadecimal digits.
func isHash(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 2*sha1.Size
}

// hash returns the hash of the data of a picture. SHA-1 is what XEP-0153 §3.1 says;
// it names pictures and proves nothing about who made them.
func hash(data []byte) string {
	sum := sha1.Sum(data)
	return hex.EncodeToString(sum[:])
}
