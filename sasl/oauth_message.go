package sasl

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds of OAUTHBEARER; RFC 7628 has none.
const (
	maxToken = 8 << 10 // bytes of a token: those that carry claims are long
	maxHost  = 255     // bytes of a host name (RFC 1035 §2.3.4)
	maxPort  = 65535
	maxPairs = 16 // pairs of a message; four have a meaning
)

// errOAuthGrammar is the cause of each violation of the grammar in RFC 7628 §3.
var errOAuthGrammar = errors.New("OAUTHBEARER message breaks the grammar")

// An OAuthError is what a server says about a token that it does not accept (RFC 7628 §3.2.2). On the
// client it is the cause of the error that the exchange ends with: errors.As finds it, and its texts
// come from the server. On the server, [ServerConfig.Bearer] may return one to have it sent, as it is
// or as the cause of an [*Error] with NotAuthorized or CredentialsExpired; it otherwise is
// "invalid_token" alone.
type OAuthError struct {
	// Status is the error code, such as "invalid_token" or "insufficient_scope" (RFC 6750 §3.1).
	Status string
	// Scope is what a token has to be valid for, separated by spaces. Empty: not said.
	Scope string
	// Configuration is the URL of the OpenID Provider Configuration of whoever issues tokens ("openid-configuration").
	// Empty: not said.
	Configuration string
}

// Error returns the three texts, quoted and shortened.
func (e *OAuthError) Error() string {
	s := "token refused: " + quote(e.Status)
	if e.Scope != "" {
		s += ", scope " + quote(e.Scope)
	}
	if e.Configuration != "" {
		s += ", configuration " + quote(e.Configuration)
	}
	return s
}

// challenge returns the message of RFC 7628 §3.2.2.
func (e *OAuthError) challenge() ([]byte, error) {
	if e.Status == "" {
		return nil, fmt.Errorf("%w: OAuthError without a Status", ErrConfig)
	}
	// The texts are the server's own: whatever JSON cannot carry is a mistake in its configuration.
	if !utf8.ValidString(e.Status + e.Scope + e.Configuration) {
		return nil, fmt.Errorf("%w: OAuthError is not UTF-8", ErrConfig)
	}
	msg, err := json.Marshal(struct {
		Status        string `json:"status"`
		Scope         string `json:"scope,omitempty"`
		Configuration string `json:"openid-configuration,omitempty"`
	}{e.Status, e.Scope, e.Configuration})
	if err != nil || len(msg) > maxMessage {
		return nil, fmt.Errorf("%w: OAuthError is too long", ErrConfig)
	}
	return msg, nil
}

// parseOAuthError reads the message of RFC 7628 §3.2.2: a JSON object whose "status" is a string.
// Members without a meaning are ignored.
func parseOAuthError(msg []byte) (*OAuthError, error) {
	if len(msg) > maxMessage {
		return nil, fmt.Errorf("%w: longer than %d bytes", errOAuthGrammar, maxMessage)
	}
	// Package json takes what is not UTF-8 for U+FFFD, and names of members without regard to case unless they
	// go to a map. It takes null for a map without members, which has no status either.
	var members map[string]json.RawMessage
	if json.Unmarshal(msg, &members) != nil || !utf8.Valid(msg) {
		return nil, fmt.Errorf("%w: error is not a JSON object", errOAuthGrammar)
	}
	var e OAuthError
	for name, dst := range map[string]*string{"status": &e.Status, "scope": &e.Scope, "openid-configuration": &e.Configuration} {
		raw, ok := members[name]
		if !ok {
			continue
		}
		var text *string
		if json.Unmarshal(raw, &text) != nil || text == nil {
			return nil, fmt.Errorf("%w: member %q of the error is not a string", errOAuthGrammar, name)
		}
		*dst = *text
	}
	// §3.2.2: REQUIRED.
	if e.Status == "" {
		return nil, fmt.Errorf("%w: error without a status", errOAuthGrammar)
	}
	return &e, nil
}

// append writes the client's message (RFC 7628 §3.1).
func (t BearerToken) append(b []byte) []byte {
	b = append(b, "n,"...)
	if t.AuthzID != "" {
		b = append(b, "a="+encodeName(t.AuthzID)...)
	}
	b = append(b, ","+kvsep...)
	// The order of the pairs is free, and some servers look for this one first.
	b = append(b, "auth=Bearer "+t.Token+kvsep...)
	if t.Host != "" {
		b = append(b, "host="+t.Host+kvsep...)
	}
	if t.Port != 0 {
		b = append(b, "port="+strconv.Itoa(t.Port)+kvsep...)
	}
	return append(b, kvsep...)
}

// parseBearer reads the client's message (RFC 7628 §3.1). The token is empty if the client sent an
// empty "auth". Its errors quote nothing: the token is in there.
func parseBearer(msg string) (BearerToken, error) {
	var t BearerToken
	bad := func(what string) (BearerToken, error) {
		return BearerToken{}, fmt.Errorf("%w: %s", errOAuthGrammar, what)
	}
	if len(msg) > maxMessage {
		return bad(fmt.Sprintf("longer than %d bytes", maxMessage))
	}
	// gs2-header kvsep *kvpair kvsep, where each kvpair ends with a kvsep. If the last one is missing, so is the
	// end of the last pair.
	gs2, pairs, _ := strings.Cut(msg, kvsep)
	pairs = strings.TrimSuffix(pairs, kvsep)
	flag, authz, _ := strings.Cut(gs2, ",")
	authz, ok := strings.CutSuffix(authz, ",")
	// RFC 5801 §4: "p" asks for channel binding, which this mechanism does not have; "F" is for others.
	if !ok || flag != "n" && flag != "y" {
		return bad("gs2-header")
	}
	if authz != "" {
		name, ok := strings.CutPrefix(authz, "a=")
		if !ok || strings.Contains(name, ",") {
			return bad("authorization identity")
		}
		var err error
		if t.AuthzID, err = decodeName(name); err != nil {
			return BearerToken{}, err
		}
	}
	seen := make(map[string]bool, 4)
	for rest := pairs; rest != ""; {
		pair, after, ok := strings.Cut(rest, kvsep)
		key, value, isPair := strings.Cut(pair, "=")
		switch {
		case !ok || !isPair || key == "" || strings.Trim(key, letters) != "":
			return bad("pair")
		case strings.ContainsFunc(value, func(r rune) bool { return (r < ' ' || r > '~') && r != '\t' && r != '\r' && r != '\n' }):
			return bad("value of a pair")
		case seen[key]:
			return bad("a key is repeated")
		case len(seen) == maxPairs:
			return bad("too many pairs")
		}
		seen[key] = true
		rest = after
		switch key {
		case "auth":
			if t.Token, ok = parseBearerAuth(value); !ok {
				return bad("auth")
			}
		case "host":
			if t.Host = value; !isHost(value) {
				return bad("host")
			}
		case "port":
			n, err := strconv.ParseUint(value, 10, 16)
			if t.Port = int(n); err != nil || value[0] == '0' {
				return bad("port")
			}
		}
		// Others have no meaning here (those of OAuth 1.0a do not go with a bearer token).
	}
	if !seen["auth"] {
		// RFC 7628 §3.1: REQUIRED.
		return bad("auth is missing")
	}
	return t, nil
}

// parseBearerAuth reads the value of "auth": "Bearer" 1*SP b64token (RFC 6750 §2.1), or nothing.
func parseBearerAuth(value string) (token string, ok bool) {
	if value == "" {
		return "", true
	}
	scheme, rest, _ := strings.Cut(value, " ")
	// The name of the scheme does not depend on case (RFC 7235 §2.1).
	if strings.ToLower(scheme) != "bearer" {
		return "", false
	}
	token = strings.TrimLeft(rest, " ")
	return token, isToken68(token)
}

// isToken68 reports whether s is a b64token (RFC 6750 §2.1), within bounds.
func isToken68(s string) bool {
	body := strings.TrimRight(s, "=")
	return body != "" && len(s) <= maxToken && strings.Trim(body, letters+"0123456789-._~+/") == ""
}

// letters is ALPHA of RFC 5234.
const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// isHost reports whether s can be the value of "host": a name or an address, in ASCII.
func isHost(s string) bool {
	return s != "" && len(s) <= maxHost && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}
