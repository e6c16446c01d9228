package sasl

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Bounds of messages.
const (
	maxDigestChallenge = 2047 // RFC 2831 §2.1.1: less than 2048 bytes
	maxDigestResponse  = 4095 // §2.1.2: less than 4096 bytes
	maxDirectives      = 64   // of one message; a dozen have a meaning
)

// firstCount is the nonce-count of initial authentication (RFC 2831 §2.1.3), the only one there is
// here.
const firstCount = "00000001"

// errDigestGrammar is the cause of each violation of the grammar in RFC 2831 §2.1 and §7.
var errDigestGrammar = errors.New("DIGEST-MD5 message breaks the grammar")

// A directive is name "=" ( token | quoted-string ), of RFC 2831 §2.1.1.
type directive struct {
	name   string // in lower case: literals do not depend on case (§7.1)
	value  string // without quotation marks and backslashes
	quoted bool
}

// parseDirectives reads 1#( directive ) of RFC 2831 §7: separated by commas, with white space around
// words, and with elements that are empty and do not count. Its errors quote nothing: who knows what a client
// has put there.
func parseDirectives(msg string, limit int) ([]directive, error) {
	bad := func(what string) ([]directive, error) {
		return nil, fmt.Errorf("%w: %s", errDigestGrammar, what)
	}
	if len(msg) > limit {
		return bad(fmt.Sprintf("longer than %d bytes", limit))
	}
	if !utf8.ValidString(msg) {
		return bad("not UTF-8")
	}
	var all []directive
	for rest := skipSpace(msg); rest != ""; {
		if rest[0] == ',' {
			rest = skipSpace(rest[1:])
			continue
		}
		var d directive
		if d.name, rest = cutToken(rest); d.name == "" {
			return bad("name of a directive")
		}
		d.name = strings.ToLower(d.name)
		rest = skipSpace(rest)
		if !strings.HasPrefix(rest, "=") {
			return bad("no equals sign behind a name")
		}
		rest = skipSpace(rest[1:])
		ok := true
		if d.quoted = strings.HasPrefix(rest, `"`); d.quoted {
			d.value, rest, ok = cutQuoted(rest)
		} else {
			d.value, rest = cutToken(rest)
			ok = d.value != ""
		}
		if !ok {
			return bad("value of a directive")
		}
		if rest = skipSpace(rest); rest != "" && rest[0] != ',' {
			return bad("something behind a value")
		}
		if len(all) == maxDirectives {
			return bad("too many directives")
		}
		all = append(all, d)
	}
	return all, nil
}

// skipSpace cuts *LWS off (RFC 2831 §7.2): a line break counts when more white space follows.
func skipSpace(s string) string {
	for {
		rest := strings.TrimPrefix(s, "\r\n")
		if rest == "" || rest[0] != ' ' && rest[0] != '\t' {
			return s
		}
		s = rest[1:]
	}
}

// cutToken cuts a token off (RFC 2831 §7.2).
func cutToken(s string) (token, rest string) {
	end := 0
	for end < len(s) && s[end] > ' ' && s[end] < 0x7f && strings.IndexByte(`()<>@,;:\"/[]?={}`, s[end]) < 0 {
		end++
	}
	return s[:end], s[end:]
}

// cutQuoted cuts a quoted-string off (RFC 2831 §7.2) and returns what it stands for. Control characters
// are refused, even behind a backslash and as the folding of lines: no value has a use for them.
func cutQuoted(s string) (value, rest string, ok bool) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		c := s[i]
		if c == '"' {
			return b.String(), s[i+1:], true
		}
		if c == '\\' {
			// quoted-pair = "\" CHAR, which is ASCII.
			if i++; i == len(s) || s[i] >= 0x80 {
				return "", "", false
			}
			c = s[i]
		}
		if isControl(rune(c)) && c != '\t' {
			return "", "", false
		}
		b.WriteByte(c)
	}
	return "", "", false
}

// quotedPairs are the characters that a quoted-string holds behind a backslash (RFC 2831 §7.2).
var quotedPairs = strings.NewReplacer(`\`, `\\`, `"`, `\"`)

// quoteDirective writes a quoted-string.
func quoteDirective(s string) string { return `"` + quotedPairs.Replace(s) + `"` }

// A form is how the grammar writes the value of a directive.
type form byte

const (
	tokenForm  form = 't'
	quotedForm form = 'q'
)

// The directives of RFC 2831 §2.1.1 and §2.1.2. Any other is an auth-param, to be ignored.
var (
	challengeForms = map[string]form{"realm": quotedForm, "nonce": quotedForm, "qop": quotedForm, "stale": tokenForm,
		"maxbuf": tokenForm, "charset": tokenForm, "algorithm": tokenForm, "cipher": quotedForm}
	responseForms = map[string]form{"username": quotedForm, "realm": quotedForm, "nonce": quotedForm, "cnonce": quotedForm,
		"nc": tokenForm, "qop": tokenForm, "digest-uri": quotedForm, "response": tokenForm, "maxbuf": tokenForm,
		"charset": tokenForm, "cipher": tokenForm, "authzid": quotedForm}
	outcomeForms = map[string]form{"rspauth": tokenForm}
)

// collect checks the directives against the forms, and that none that has a meaning is repeated, and
// returns the values of those that have one. The values of a directive that may be repeated are
// separated by NUL, which no value holds.
func collect(msg string, limit int, forms map[string]form, many string) (map[string]string, error) {
	all, err := parseDirectives(msg, limit)
	if err != nil {
		return nil, err
	}
	values := make(map[string]string, len(all))
	ascii := true
	for _, d := range all {
		f, known := forms[d.name]
		if !known {
			continue
		}
		if d.quoted != (f == quotedForm) {
			return nil, fmt.Errorf("%w: form of %s", errDigestGrammar, d.name)
		}
		before, repeated := values[d.name]
		if repeated && d.name != many {
			return nil, fmt.Errorf("%w: %s is repeated", errDigestGrammar, d.name)
		}
		if repeated {
			d.value = before + "\x00" + d.value
		}
		values[d.name] = d.value
		ascii = ascii && isASCII(d.value)
	}
	charset, ok := values["charset"]
	switch {
	case ok && strings.ToLower(charset) != "utf-8":
		return nil, fmt.Errorf("%w: charset", errDigestGrammar)
	case !ok && !ascii:
		// §2.1.1: without it, the encoding is ISO 8859-1, which is not supported here beyond ASCII.
		return nil, fmt.Errorf("%w: not ASCII, and no charset", errDigestGrammar)
	}
	if strings.Trim(values["maxbuf"], "0123456789") != "" {
		return nil, fmt.Errorf("%w: maxbuf", errDigestGrammar)
	}
	return values, nil
}

// isASCII reports whether s is the same in UTF-8 and in ISO 8859-1.
func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// digestChallenge is a parsed digest-challenge.
type digestChallenge struct {
	realms []string
	nonce  string
	utf8   bool // the server understands charset=utf-8
}

// parseDigestChallenge reads a digest-challenge (RFC 2831 §2.1.1).
func parseDigestChallenge(msg string) (digestChallenge, error) {
	values, err := collect(msg, maxDigestChallenge, challengeForms, "realm")
	if err != nil {
		return digestChallenge{}, err
	}
	bad := func(what string) (digestChallenge, error) {
		return digestChallenge{}, fmt.Errorf("%w: %s", errDigestGrammar, what)
	}
	m := digestChallenge{nonce: values["nonce"]}
	_, m.utf8 = values["charset"]
	if realms, ok := values["realm"]; ok {
		m.realms = strings.Split(realms, "\x00")
	}
	// The nonce and the algorithm are required.
	if m.nonce == "" {
		return bad("nonce is missing")
	}
	if strings.ToLower(values["algorithm"]) != "md5-sess" {
		return bad("algorithm")
	}
	// The default of qop is "auth"; without it in a list, there is nothing that this client could do.
	if qop, ok := values["qop"]; ok && !slices.Contains(splitTokens(qop), "auth") {
		return bad("qop without auth")
	}
	if stale, ok := values["stale"]; ok && strings.ToLower(stale) != "true" {
		return bad("stale")
	}
	return m, nil
}

// splitTokens reads 1#token inside a quoted-string, in lower case.
func splitTokens(list string) []string {
	tokens := strings.Split(strings.ToLower(list), ",")
	for i, t := range tokens {
		tokens[i] = strings.Trim(t, " \t")
	}
	return tokens
}

// digestResponse is a parsed digest-response.
type digestResponse struct {
	username string
	realm    string
	nonce    string
	cnonce   string
	uri      string
	proof    []byte // response-value, in hexadecimal
	authzID  string // empty if absent
}

// parseDigestResponse reads a digest-response (RFC 2831 §2.1.2).
func parseDigestResponse(msg string) (digestResponse, error) {
	values, err := collect(msg, maxDigestResponse, responseForms, "")
	if err != nil {
		return digestResponse{}, err
	}
	bad := func(what string) (digestResponse, error) {
		return digestResponse{}, fmt.Errorf("%w: %s", errDigestGrammar, what)
	}
	// The realm is required because the server offered one. Without the others there is nothing to compute.
	for _, name := range []string{"username", "realm", "nonce", "cnonce", "nc", "digest-uri", "response"} {
		if values[name] == "" {
			return bad(name + " is missing")
		}
	}
	m := digestResponse{username: values["username"], realm: values["realm"], nonce: values["nonce"], cnonce: values["cnonce"],
		uri: values["digest-uri"], proof: []byte(values["response"]), authzID: values["authzid"]}
	if err := checkDigestName(m.username); err != nil {
		return digestResponse{}, err
	}
	// RFC 6331 §1: RFC 2831 does not say what an empty one is for. It is not accepted.
	if _, ok := values["authzid"]; ok {
		if err := checkName(m.authzID); err != nil {
			return digestResponse{}, err
		}
	}
	switch {
	case values["nc"] != firstCount:
		// §2.1.3, and no subsequent authentication.
		return bad("nc")
	case !isHexDigest(values["response"]):
		return bad("response")
	}
	// §2.1.2: one of the alternatives that the server offered, and "auth" was the only one.
	if qop, ok := values["qop"]; ok && strings.ToLower(qop) != "auth" {
		return bad("qop")
	}
	// A cipher would begin confidentiality protection (§2.4), and none was offered.
	if _, ok := values["cipher"]; ok {
		return bad("cipher")
	}
	return m, nil
}

// append writes the digest-response.
func (m digestResponse) append(b []byte, charset bool) []byte {
	if charset {
		b = append(b, "charset=utf-8,"...)
	}
	b = append(b, "username="+quoteDirective(m.username)+",realm="+quoteDirective(m.realm)+
		",nonce="+quoteDirective(m.nonce)+",nc="+firstCount+",cnonce="+quoteDirective(m.cnonce)+
		",digest-uri="+quoteDirective(m.uri)+",response="...)
	b = append(append(b, m.proof...), ",qop=auth"...)
	if m.authzID != "" {
		b = append(b, ",authzid="+quoteDirective(m.authzID)...)
	}
	return b
}

// parseDigestOutcome reads a response-auth (RFC 2831 §2.1.3).
func parseDigestOutcome(msg string) (proof []byte, err error) {
	values, err := collect(msg, maxDigestChallenge, outcomeForms, "")
	if err != nil {
		return nil, err
	}
	if !isHexDigest(values["rspauth"]) {
		return nil, fmt.Errorf("%w: rspauth", errDigestGrammar)
	}
	return []byte(values["rspauth"]), nil
}

// isHexDigest reports whether s is 32LHEX (RFC 2831 §2.1.2): letters in lower case.
func isHexDigest(s string) bool {
	return len(s) == 32 && strings.Trim(s, "0123456789abcdef") == ""
}
