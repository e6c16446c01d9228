package auth

import "time"

// IssueToken returns a token as servers issue them.
func IssueToken() string {
	return new(ClientTokens).issue("HT-SHA-256-EXPR", time.Hour, time.Now()).Secret
}
