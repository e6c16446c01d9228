package dial

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	// ErrNotAvailable: the SRV records of the domain say that the service is
	// decidedly not available there (RFC 2782, target "."), neither with STARTTLS
	// nor with direct TLS unless only one of them is wanted. Nothing was tried.
	ErrNotAvailable = errors.New("dial: the domain does not offer the service")

	// ErrOptions is wrapped by errors about options that cannot be used.
	ErrOptions = errors.New("dial: unusable options")
)

// Attempt is one thing that was tried and why it failed.
type Attempt struct {
	// Target has no Addr if its name did not resolve.
	Target Target
	// Err is the error of the resolver, of the dialer or of the function given to
	// Connect.
	Err error
}

// Error says that no connection to a domain could be made. It unwraps to
// everything in it.
type Error struct {
	// Domain is the domain that was asked for.
	Domain string
	// Cause is why nothing more was tried: ErrNotAvailable, the cause of the
	// context, or nil when everything was tried.
	Cause error
	// Lookup is the error of an SRV lookup, or nil if all gave an answer. That
	// there are no SRV records is an answer. Of two errors it is that of the
	// lookup for STARTTLS.
	Lookup error
	// Attempts are the targets that were tried, in the order in which they
	// failed, those included that the function given to Connect had no use for.
	// Their number is bounded: at most 20 records, each with at most 8 addresses.
	Attempts []Attempt
}

// How much of an Error its text shows.
const (
	textAttempts = 4
	textPart     = 128
)

// Error describes the failure in at most about a thousand bytes. What comes
// from the DNS or from a dialer is escaped.
func (e *Error) Error() string {
	parts := make([]string, 0, textAttempts+2)
	if e.Cause != nil {
		parts = append(parts, clip(e.Cause.Error()))
	}
	if e.Lookup != nil {
		parts = append(parts, clip("SRV lookup: "+e.Lookup.Error()))
	}
	for _, a := range e.Attempts[:min(len(e.Attempts), textAttempts)] {
		parts = append(parts, clip(a.Target.String()+": "+errorText(a.Err)))
	}
	if more := len(e.Attempts) - textAttempts; more > 0 {
		parts = append(parts, strconv.Itoa(more)+" more")
	}
	return "dial: connecting to " + clip(e.Domain) + ": " + strings.Join(parts, "; ")
}

// Unwrap returns the cause, the error of the lookup and those of the attempts.
func (e *Error) Unwrap() []error {
	var out []error
	for _, err := range []error{e.Cause, e.Lookup} {
		if err != nil {
			out = append(out, err)
		}
	}
	for _, a := range e.Attempts {
		if a.Err != nil {
			out = append(out, a.Err)
		}
	}
	return out
}

func errorText(err error) string {
	if err == nil {
		return "no error"
	}
	return err.Error()
}

// clip escapes what is not printable ASCII and cuts the result to textPart
// bytes.
func clip(s string) string {
	var out []byte
	for s != "" {
		_, size := utf8.DecodeRuneInString(s)
		part := s[:size]
		if size != 1 || s[0] < ' ' || s[0] > '~' {
			part = strconv.QuoteToASCII(part)
			part = part[1 : len(part)-1]
		}
		if len(out)+len(part) > textPart {
			return string(out) + "…"
		}
		out = append(out, part...)
		s = s[size:]
	}
	return string(out)
}

// quoteHost returns host, quoted unless it looks like a name or an address.
func quoteHost(host string) string {
	if host != "" && strings.Trim(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:") == "" {
		return host
	}
	return strconv.QuoteToASCII(host)
}
