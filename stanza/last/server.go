package last

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stream"
)

// ErrHost is the error of [Server.Attach] for a server that does not know when
// its accounts were available.
var ErrHost = errors.New("last: the server has no method LastSeen")

// Server is the module by which a server answers for its accounts and for itself:
// since when an account has had no available resource, and what it said when it
// left (XEP-0012 §3), and how long the server has been running (§5). About an
// account it tells those only who may see its presence (§8), and it keeps requests
// of others away from the account's clients (§4). Those others are told
// service-unavailable, as they are about an account that does not exist: see the
// package documentation.
//
// The zero Server is ready; it belongs to one server. Time is counted from when
// that attaches it.
type Server struct {
	host    host
	started time.Time
}

// host is what a Server needs of its server.
type host interface {
	stanza.Host
	// LastSeen returns when the last available resource of an account went away,
	// and the presence of type unavailable with which it did, or nil. A zero time
	// says that there is nothing on record.
	LastSeen(ctx context.Context, account jid.JID) (time.Time, *stream.Element, error)
}

// Name implements [stanza.Module].
func (*Server) Name() string { return "last" }

// Features implements [stanza.Featurer] (XEP-0012 §6).
func (*Server) Features() []string { return []string{NS} }

// Attach implements [stanza.HostModule]. The error is or wraps [ErrHost].
func (s *Server) Attach(h stanza.Host) error {
	full, ok := h.(host)
	if !ok {
		return ErrHost
	}
	s.host, s.started = full, time.Now()
	return nil
}

// Register implements [stanza.Module]: what accounts ask about themselves, and
// anybody about the server.
func (s *Server) Register(m *stanza.Mux) error {
	if s.host == nil {
		return fmt.Errorf("last: Register before Attach: %w", ErrHost)
	}
	return m.HandleIQ(stanza.GetIQ, name, s.own)
}

// RegisterPublic implements [stanza.PublicModule]: what others ask about accounts.
func (s *Server) RegisterPublic(m *stanza.Mux) error {
	if s.host == nil {
		return fmt.Errorf("last: RegisterPublic before Attach: %w", ErrHost)
	}
	return m.HandleIQ(stanza.GetIQ, name, func(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
		return s.account(ctx, iq.From, iq.To)
	})
}

// hidden is what those are told who may not see the presence of an account. XEP-0012
// §3 and §4 have forbidden; but RFC 6121 §8.5.1 has service-unavailable for an account
// that does not exist, and with two answers everybody could find out who has one
// (RFC 6120 §13.11).
const hidden = stanza.ServiceUnavailable

// own answers what is addressed to the server, or by an account to itself.
func (s *Server) own(ctx context.Context, iq *stanza.IQ) (stanza.Payload, error) {
	switch {
	case slices.Contains(s.host.Domains(), iq.To):
		// XEP-0012 §5: the time since the start, and no text.
		return since(s.started), nil
	case iq.To.IsZero(), iq.To == iq.From.Bare():
		// RFC 6120 §10.3.3: without an address it is for the account.
		return s.account(ctx, iq.From, iq.From.Bare())
	}
	return nil, stanza.ServiceUnavailable
}

// account answers for an account.
func (s *Server) account(ctx context.Context, viewer, account jid.JID) (stanza.Payload, error) {
	if account.IsFull() {
		return nil, stanza.ServiceUnavailable
	}
	may, err := s.host.MaySee(ctx, account, viewer)
	switch {
	case err != nil:
		return nil, err
	case !may:
		// XEP-0012 §3: MUST NOT tell.
		return nil, hidden
	}
	if len(s.host.Resources(account)) > 0 {
		// §3: at least one connected or available resource: zero, and no text.
		return Last{}, nil
	}
	at, presence, err := s.host.LastSeen(ctx, account)
	switch {
	case err != nil:
		return nil, err
	case at.IsZero():
		// §3 does not say what that is; whoever asks may know that there is an account.
		return nil, stanza.ItemNotFound
	}
	answer := since(at)
	if presence != nil {
		answer.Status = status(presence)
	}
	return answer, nil
}

// status returns what a presence says in words (XEP-0012 §3), as much of it as
// fits in an answer.
func status(presence *stream.Element) string {
	el, ok := presence.Child(stream.Name{Space: presence.Name().Space, Local: "status"})
	if !ok {
		return ""
	}
	text := el.Text()
	if len(text) > MaxStatus {
		text = strings.ToValidUTF8(text[:MaxStatus], "") // the rest of a character that was cut
	}
	return text
}

// BeforeRoute implements [stanza.BeforeRouter]: a request to a client of an
// account, by somebody who may not see its presence, does not get there (XEP-0012
// §4). Whether there is the account makes no difference.
func (s *Server) BeforeRoute(ctx context.Context, t *stanza.Transit) stanza.Verdict {
	if t.Kind != stanza.IQKind || t.Type != string(stanza.GetIQ) ||
		!t.To.IsFull() || t.To.Local() == "" || t.To.Bare() == t.From.Bare() {
		return stanza.Pass()
	}
	if _, ok := t.Element.Child(name); !ok || !slices.Contains(s.host.Domains(), t.To.DomainJID()) {
		return stanza.Pass()
	}
	switch may, err := s.host.MaySee(ctx, t.To.Bare(), t.From); {
	case err != nil:
		return stanza.Bounce(&stanza.Error{Condition: stanza.InternalServerError, Cause: err})
	case !may:
		return stanza.Bounce(hidden)
	}
	return stanza.Pass()
}

// since is an answer with the time that has passed.
func since(t time.Time) Last { return Last{Seconds: uint64(max(time.Since(t), 0) / time.Second)} }
