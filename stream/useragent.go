package stream

import (
	"fmt"
	"log/slog"
)

// UserAgent is what a client says about itself when it authenticates
// (XEP-0388 §2.3). It is for the server and the account's owner: a server must
// not show it to anybody else.
type UserAgent struct {
	// ID identifies the installation of the client: a UUID of version 4, always
	// the same one for the same installation and account. Empty: not told.
	ID string
	// Software and Device are texts for people, "AwesomeXMPP" and "Kiva's
	// phone". They may be empty.
	Software, Device string
}

// Format prints the user agent without its ID, whatever the verb: the ID is
// part of what a token of XEP-0484 is bound to.
func (a UserAgent) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "stream.UserAgent{Software:%q Device:%q}", a.Software, a.Device)
}

// LogValue is what log/slog shows of the user agent.
func (a UserAgent) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(a)) }

// UserAgent returns what the client said about itself when it authenticated
// with SASL 2, on the server's side; zero if it said nothing.
func (s *Session) UserAgent() UserAgent { return s.agent }
