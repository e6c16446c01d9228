package jid

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Part names the portion of a JID that an [Error] is about.
// The zero value stands for the address as a whole.
type Part uint8

// The parts of a JID, in the order in which they are written (RFC 7622 §3.1).
const (
	Whole Part = iota
	Localpart
	Domainpart
	Resourcepart
)

// String returns the name RFC 7622 gives to the part, or "JID" for [Whole].
func (p Part) String() string {
	switch p {
	case Localpart:
		return "localpart"
	case Domainpart:
		return "domainpart"
	case Resourcepart:
		return "resourcepart"
	}
	return "JID"
}

// Reasons for which a string is not a JID. They are found with [errors.Is] in
// every error of this package that concerns the content of an address.
var (
	// ErrEmpty: a separator announces a part that is zero octets long, before or
	// after mapping, or there is no domainpart (RFC 7622 §3.2, §3.3, §3.4).
	ErrEmpty = errors.New("must not be empty")
	// ErrTooLong: the mapped UTF-8 is longer than 1023 octets, or the input is so
	// long that no mapping can bring it below that; from [JID.ASCIIDomain], the
	// name does not fit in the DNS (63 octets a label, 253 in all).
	ErrTooLong = errors.New("is too long")
	// ErrUTF8: the octets are not well-formed UTF-8 (RFC 3629 §3).
	ErrUTF8 = errors.New("is not valid UTF-8")
	// ErrNotAllowed: a code point is disallowed or unassigned, or a rule about its
	// neighbours is not met (RFC 7622 §3.3.1, RFC 8264 §8, RFC 5892 §2).
	ErrNotAllowed = errors.New("contains a character that is not allowed there")
	// ErrBidi: right-to-left text breaks the Bidi Rule (RFC 5893 §2).
	ErrBidi = errors.New("breaks the Bidi Rule")
	// ErrLabel: a domain label is empty, has misplaced hyphens, begins with a
	// combining mark, or is an A-label without a valid U-label (RFC 5891 §5.4).
	ErrLabel = errors.New("contains a label that is not valid")
	// ErrAddress: the domainpart has the form of an IP address without being one,
	// or carries a zone identifier.
	ErrAddress = errors.New("is not a valid IP address")
	// ErrUnstable: the mapping rules do not settle (RFC 8264 §7).
	ErrUnstable = errors.New("has no stable mapping")
)

// maxQuoted bounds how many octets of an offending input an Error repeats.
const maxQuoted = 64

// Error says which part of an address is wrong and why. All errors that Parse
// and its relatives return are of this type. An Error is immutable and safe for
// concurrent use; a server answers it with <jid-malformed/> (RFC 7622 §4) or,
// on a stream header, with <improper-addressing/> (RFC 6120 §4.9.3.7).
type Error struct {
	// Part is the offending part.
	Part Part
	// Reason is one of the Err… values of this package.
	Reason error
	// Input is the beginning of the offending part as it was given, at most 64
	// octets; Truncated reports that there was more. It is data from the wire and
	// may hold anything, invalid UTF-8 included: quote it before showing it.
	Input     string
	Truncated bool
}

// Error returns one line of printable ASCII in which the input is quoted.
func (e *Error) Error() string {
	b := make([]byte, 0, 128)
	b = append(b, "jid: "...)
	b = append(b, e.Part.String()...)
	b = append(b, ' ')
	// QuoteToASCII: an address that is refused for its bidirectional controls must
	// not get to reorder the log line that says so.
	b = strconv.AppendQuoteToASCII(b, e.Input)
	if e.Truncated {
		b = append(b, "..."...)
	}
	b = append(b, ' ')
	return string(append(b, e.Reason.Error()...))
}

// Unwrap returns Reason, for [errors.Is].
func (e *Error) Unwrap() error { return e.Reason }

// fail builds the error for a part. The input is copied, so that an error which
// is kept does not keep the buffer it came from.
func fail(p Part, reason error, input string) *Error {
	e := &Error{Part: p, Reason: reason, Input: input}
	if len(input) > maxQuoted {
		n := maxQuoted
		// Cut between characters where there are characters.
		for n > maxQuoted-utf8.UTFMax && !utf8.RuneStart(input[n]) {
			n--
		}
		e.Input, e.Truncated = input[:n], true
	}
	e.Input = strings.Clone(e.Input)
	return e
}
