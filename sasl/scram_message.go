package sasl

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds on messages; the specifications have none. Two names, escaped, a nonce and a channel
// binding fit into a message, and so do two names and a password.
const (
	maxMessage  = 16 << 10 // bytes of one message of any mechanism, before base64
	maxName     = 2 << 10  // bytes of a user name or an authorization identity
	maxPassword = 4 << 10  // bytes of a password before preparation
)

// errGrammar is the cause of each violation of the grammar in RFC 5802 §7.
var errGrammar = errors.New("SCRAM message breaks the grammar")

// knownAttributes are the letters that RFC 5802 §5.1 gives a meaning. Where extensions stand, any
// other letter is ignored and these are an error: a repeated or misplaced attribute must not be
// taken for an extension.
const knownAttributes = "anmrcsipve"

// An attribute is one attr-val of RFC 5802 §7.
type attribute struct {
	name  byte
	value string
}

// splitAttributes cuts a message into its attributes and checks each one: a letter, "=", at least
// one character, UTF-8, no NUL.
func splitAttributes(msg string) ([]attribute, error) {
	if len(msg) > maxMessage {
		return nil, fmt.Errorf("%w: longer than %d bytes", errGrammar, maxMessage)
	}
	if !utf8.ValidString(msg) || strings.IndexByte(msg, 0) >= 0 {
		return nil, fmt.Errorf("%w: not UTF-8, or a NUL", errGrammar)
	}
	attrs := make([]attribute, 0, 4)
	for part := range strings.SplitSeq(msg, ",") {
		if len(part) < 3 || part[1] != '=' || !isAlpha(part[0]) {
			return nil, fmt.Errorf("%w: attribute %s", errGrammar, quote(part[:min(len(part), 2)]))
		}
		// RFC 5802 §5.1: "m" MUST cause failure, wherever it stands.
		if part[0] == 'm' {
			return nil, ErrExtension
		}
		attrs = append(attrs, attribute{part[0], part[2:]})
	}
	return attrs, nil
}

// expect checks that attrs begins with the named attributes in that order, and that what follows
// are extensions that may be ignored. It returns the values.
func expect(attrs []attribute, names string) ([]string, error) {
	values := make([]string, len(names))
	for i := range len(names) {
		if i >= len(attrs) || attrs[i].name != names[i] {
			return nil, fmt.Errorf("%w: attribute %q is missing or out of place", errGrammar, names[i])
		}
		values[i] = attrs[i].value
	}
	for _, a := range attrs[len(names):] {
		if strings.IndexByte(knownAttributes, a.name) >= 0 {
			return nil, fmt.Errorf("%w: attribute %q repeated or out of order", errGrammar, a.name)
		}
	}
	return values, nil
}

// clientFirst is a parsed client-first-message.
type clientFirst struct {
	gs2      string // gs2-header, with its two commas
	flag     byte   // 'n', 'y' or 'p'
	cbType   string // after "p="
	authzID  string // decoded; "" if absent
	bare     string // client-first-message-bare
	username string // decoded
	nonce    string
}

// parseClientFirst reads a client-first-message (RFC 5802 §7).
func parseClientFirst(msg string) (clientFirst, error) {
	var m clientFirst
	if len(msg) > maxMessage {
		return clientFirst{}, fmt.Errorf("%w: longer than %d bytes", errGrammar, maxMessage)
	}
	// Without one of its commas, there is nothing behind the gs2-header.
	cbind, rest, _ := strings.Cut(msg, ",")
	authz, bare, _ := strings.Cut(rest, ",")
	// RFC 5802 §5: the message always starts with "n", "y" or "p"; otherwise authentication MUST fail.
	switch {
	case cbind == "n", cbind == "y":
		m.flag = cbind[0]
	case strings.HasPrefix(cbind, "p=") && isBindingName(cbind[2:]):
		m.flag, m.cbType = 'p', cbind[2:]
	default:
		return clientFirst{}, fmt.Errorf("%w: gs2-cbind-flag", errGrammar)
	}
	if authz != "" {
		name, ok := strings.CutPrefix(authz, "a=")
		if !ok {
			return clientFirst{}, fmt.Errorf("%w: authorization identity", errGrammar)
		}
		var err error
		if m.authzID, err = decodeName(name); err != nil {
			return clientFirst{}, err
		}
	}
	m.gs2, m.bare = msg[:len(msg)-len(bare)], bare
	attrs, err := splitAttributes(bare)
	if err != nil {
		return clientFirst{}, err
	}
	values, err := expect(attrs, "nr")
	if err != nil {
		return clientFirst{}, err
	}
	if m.username, err = decodeName(values[0]); err != nil {
		return clientFirst{}, err
	}
	if m.nonce = values[1]; !isPrintable(m.nonce) {
		return clientFirst{}, fmt.Errorf("%w: nonce", errGrammar)
	}
	return m, nil
}

// serverFirst is a parsed server-first-message.
type serverFirst struct {
	nonce      string
	salt       []byte
	iterations int
	offerHash  string // value of "h" (XEP-0474 §6.1) as it came; "" if absent
	tlsVersion string // value of "t" (XEP-0515 §4.1) as it came; "" if absent
}

// parseServerFirst reads a server-first-message (RFC 5802 §7).
func parseServerFirst(msg string) (serverFirst, error) {
	var m serverFirst
	attrs, err := splitAttributes(msg)
	if err != nil {
		return serverFirst{}, err
	}
	values, err := expect(attrs, "rsi")
	if err != nil {
		return serverFirst{}, err
	}
	if m.nonce = values[0]; !isPrintable(m.nonce) {
		return serverFirst{}, fmt.Errorf("%w: nonce", errGrammar)
	}
	if m.salt, err = decodeBase64(values[1]); err != nil {
		return serverFirst{}, fmt.Errorf("%w: salt: %w", errGrammar, err)
	}
	if m.iterations, err = parseIterations(values[2]); err != nil {
		return serverFirst{}, err
	}
	for _, a := range attrs[len(values):] {
		value := &m.offerHash
		switch a.name {
		case 'h':
		case 't':
			value = &m.tlsVersion
		default:
			continue
		}
		if *value != "" {
			return serverFirst{}, fmt.Errorf("%w: attribute %q repeated", errGrammar, a.name)
		}
		*value = a.value
	}
	return m, nil
}

// clientFinal is a parsed client-final-message.
type clientFinal struct {
	binding      string // value of "c", still in base64
	nonce        string
	proof        []byte
	withoutProof string // client-final-message-without-proof
}

// parseClientFinal reads a client-final-message (RFC 5802 §7).
func parseClientFinal(msg string) (clientFinal, error) {
	var m clientFinal
	attrs, err := splitAttributes(msg)
	if err != nil {
		return clientFinal{}, err
	}
	// The proof comes last, after extensions.
	last := attrs[len(attrs)-1]
	if last.name != 'p' {
		return clientFinal{}, fmt.Errorf("%w: the proof is not last", errGrammar)
	}
	values, err := expect(attrs[:len(attrs)-1], "cr")
	if err != nil {
		return clientFinal{}, err
	}
	m.binding, m.nonce = values[0], values[1]
	if m.proof, err = decodeBase64(last.value); err != nil {
		return clientFinal{}, fmt.Errorf("%w: proof: %w", errGrammar, err)
	}
	m.withoutProof = msg[:strings.LastIndexByte(msg, ',')]
	return m, nil
}

// parseServerFinal reads a server-final-message (RFC 5802 §7): a signature or an error value.
func parseServerFinal(msg string) (signature []byte, errorValue string, err error) {
	attrs, err := splitAttributes(msg)
	if err != nil {
		return nil, "", err
	}
	if attrs[0].name == 'e' {
		values, err := expect(attrs, "e")
		if err != nil {
			return nil, "", err
		}
		return nil, values[0], nil
	}
	values, err := expect(attrs, "v")
	if err != nil {
		return nil, "", err
	}
	if signature, err = decodeBase64(values[0]); err != nil {
		return nil, "", fmt.Errorf("%w: signature: %w", errGrammar, err)
	}
	return signature, "", nil
}

// parseIterations reads a posit-number (RFC 5802 §7): digits, the first not zero. A number too
// large for an int is reported as the largest one, which is above any ceiling.
func parseIterations(s string) (int, error) {
	if s == "" || s[0] == '0' {
		return 0, fmt.Errorf("%w: %s is not a positive number", ErrIterations, quote(s))
	}
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, fmt.Errorf("%w: %s is not a positive number", ErrIterations, quote(s))
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil { // only the range is left to be wrong
		return math.MaxInt, nil
	}
	return n, nil
}

// nameEscapes are the characters that a saslname cannot hold as they are (RFC 5802 §5.1).
var nameEscapes = strings.NewReplacer("=", "=3D", ",", "=2C")

// encodeName writes a name as a saslname (RFC 5802 §5.1).
func encodeName(name string) string { return nameEscapes.Replace(name) }

// decodeName reads a saslname. RFC 5802 §5.1: "=" not followed by "2C" or "3D" MUST fail the
// authentication.
func decodeName(s string) (string, error) {
	var b strings.Builder
	for rest := s; rest != ""; {
		before, after, found := strings.Cut(rest, "=")
		b.WriteString(before)
		if !found {
			break
		}
		switch {
		case strings.HasPrefix(after, "2C"):
			b.WriteByte(',')
		case strings.HasPrefix(after, "3D"):
			b.WriteByte('=')
		default:
			return "", fmt.Errorf("%w: escape in a name", errGrammar)
		}
		rest = after[2:]
	}
	name := b.String()
	if err := checkName(name); err != nil {
		return "", err
	}
	return name, nil
}

// decodeBase64 reads the base64 production of RFC 5802 §7: padded, canonical, nothing in between.
// Strict() of encoding/base64 refuses stray bits but still skips line breaks, which are not allowed
// here.
func decodeBase64(s string) ([]byte, error) {
	if strings.ContainsAny(s, "\r\n") {
		return nil, errors.New("line break in base64")
	}
	// The decoder's error names a position only.
	return base64.StdEncoding.Strict().DecodeString(s)
}

// nonceBytes is how many random bytes make a nonce: 144 bits, more than the 128 that make guessing
// and collisions hopeless, and 24 characters of base64 without padding.
const nonceBytes = 18

// newNonce returns a fresh nonce (RFC 5802 §5.1).
func newNonce(r io.Reader) (string, error) {
	b := make([]byte, nonceBytes)
	if _, err := io.ReadFull(r, b); err != nil {
		return "", fmt.Errorf("%w: %w", ErrRandom, err)
	}
	return base64.StdEncoding.EncodeToString(b), nil
}

// isPrintable reports whether s is a nonce by RFC 5802 §7: at least one printable ASCII character,
// none of them a comma, which no value of an attribute holds.
func isPrintable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x21 || s[i] > 0x7e {
			return false
		}
	}
	return s != ""
}

// isBindingName reports whether s is a cb-name by RFC 5802 §7.
func isBindingName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlpha(c) && (c < '0' || c > '9') && c != '.' && c != '-' {
			return false
		}
	}
	return s != ""
}

func isAlpha(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
