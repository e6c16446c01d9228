package auth

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// ClientOptions says how a client authenticates. The zero value has no password; everything else
// has a default that is safe.
type ClientOptions struct {
	// Username is the simple user name. Empty means the localpart of who the stream is for,
	// stream.InitiateOptions.From (RFC 6120 §6.3.7).
	Username string

	// AuthzID is a bare JID to act as, for accounts that may act for others;
	// stream.InitiateOptions.From is then the same JID, and Username is needed. Zero means the one
	// that belongs to the user name; RFC 6120 §6.3.8 forbids sending it then. With a client
	// certificate for several accounts it says which (XEP-0178 §2), for servers that do not look at
	// the stream header.
	AuthzID jid.JID

	// Password is the password as the user typed it. Empty means to ask GetPassword.
	Password string

	// GetPassword is called when Password is empty and the password is needed, at most once for
	// each stream. Its context is that of the negotiation. Its error ends the negotiation. Nil
	// means that there is none, which suits a Cache that has the keys.
	GetPassword func(ctx context.Context) (string, error)

	// Token is an OAuth 2.0 bearer token for OAUTHBEARER. Empty means to ask GetToken.
	Token string

	// GetToken is called when Token is empty and the token is needed, as GetPassword is. Nil means
	// that there is none.
	GetToken func(ctx context.Context) (string, error)

	// Mechanisms are the mechanisms to use, most preferred first. Nil means sasl.External,
	// sasl.Default and, where there is a token, sasl.OAuthBearer. Mechanisms for which there is no
	// credential are passed over: EXTERNAL without a certificate of this side's own on a verified
	// connection, OAUTHBEARER without a token, those with a password where there is none but
	// something else. ANONYMOUS needs nothing, and is used only if listed.
	Mechanisms []sasl.Mechanism

	// AllowPlain permits mechanisms that reveal the password to the server, inside TLS with a
	// verified certificate and when the server offers nothing better. It adds PLAIN behind
	// Mechanisms if they have no such mechanism. False: such mechanisms are never used, listed or
	// not.
	AllowPlain bool

	// Floor is the weakest mechanism to use: sasl.Bound, say, for a server that is known to bind the
	// channel. A server, or somebody on the way, that offers nothing as strong gets nothing sent, and
	// the error wraps sasl.ErrDowngrade. Zero demands nothing but what Credentials remembers.
	Floor sasl.Strength

	// Credentials remembers what is known of the account between streams, by its bare JID: what the
	// server's mechanisms were at least, and a token (XEP-0484). Nil means that nothing is.
	Credentials CredentialStore

	// UserAgent is what SASL 2 tells the server about this client (XEP-0388 §2.3). Zero tells nothing.
	UserAgent stream.UserAgent

	// CheckTLSVersion compares the version of TLS with what a server of SCRAM says that it sees
	// (XEP-0515 version 0.1.0, experimental). A difference fails the attempt; a server that says
	// nothing does not. False means that nothing is compared.
	CheckTLSVersion bool

	// MinIterations and MaxIterations bound the iteration count that the server may ask for. Zero
	// means sasl.MinIterations and sasl.DefaultMaxIterations.
	MinIterations, MaxIterations int

	// Cache keeps derived keys between streams, by domain and user name. Keys that it has are used
	// without a look at Password: share it only among those who may use each other's accounts (see
	// [sasl.KeyCache]). Nil means that keys are derived each time.
	Cache sasl.KeyCache

	// SASL2 is for [SASL2Client]: tasks, upgrades and tokens.
	SASL2 SASL2ClientOptions

	// InsecureWithoutTLS lets the client authenticate on a stream without TLS, for loopback and
	// tests. Whoever is between the two sides can then take the stream over, and guess the password
	// at leisure. Mechanisms that reveal the password are refused all the same.
	InsecureWithoutTLS bool
}

// Format prints the options without password and token, whatever the verb.
func (o ClientOptions) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "auth.ClientOptions{Username:%q AuthzID:%q AllowPlain:%t}", o.Username, o.AuthzID, o.AllowPlain)
}

// LogValue is what log/slog shows of the options.
func (o ClientOptions) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(o)) }

// Client returns the feature with which an initiating entity authenticates. The options are copied;
// nil means the zero value. The feature is safe for concurrent use by any number of streams.
//
// Failing to authenticate fails the negotiation with an error that wraps a [*sasl.Error], and a
// [*Failure] when it was the server that refused. sasl.ErrNoMechanism and sasl.ErrDowngrade tell
// that nothing was sent at all.
func Client(opts *ClientOptions) stream.Feature {
	o := opts.prepare()
	f := stream.Feature{
		Name:     stream.Name{Space: NS, Local: "mechanisms"},
		Needs:    stream.Secure,
		Forbids:  stream.Authenticated,
		Initiate: o.initiate,
	}
	if o.InsecureWithoutTLS {
		f.Needs = 0
	}
	return f
}

// prepare copies the options, which may be nil, and fills in what follows from others.
func (o *ClientOptions) prepare() *ClientOptions {
	var out ClientOptions
	if o != nil {
		out = *o
	}
	if out.Mechanisms == nil {
		out.Mechanisms = append([]sasl.Mechanism{sasl.External()}, sasl.Default()...)
		if out.Token != "" || out.GetToken != nil {
			out.Mechanisms = append(out.Mechanisms, sasl.OAuthBearer())
		}
	}
	out.Mechanisms = permitted(out.Mechanisms, out.AllowPlain)
	return &out
}

// permitted returns the mechanisms, with those that reveal the password as allowed.
func permitted(mechs []sasl.Mechanism, plain bool) []sasl.Mechanism {
	// A token is made to be shown, and DIGEST-MD5 is asked for by its name.
	reveals := func(m sasl.Mechanism) bool {
		return m.Plaintext && m.Credential == sasl.PasswordCredential && m.Name != digestMD5
	}
	mechs = slices.Clone(mechs)
	if !plain {
		return slices.DeleteFunc(mechs, reveals)
	}
	if !slices.ContainsFunc(mechs, reveals) {
		mechs = append(mechs, sasl.Plain())
	}
	return mechs
}

// with returns the mechanisms with m behind them, if they do not have it.
func with(mechs []sasl.Mechanism, m sasl.Mechanism) []sasl.Mechanism {
	if slices.ContainsFunc(mechs, func(o sasl.Mechanism) bool { return o.Name == m.Name }) {
		return mechs
	}
	return append(mechs, m)
}

// initiate implements stream.Feature.Initiate.
func (o *ClientOptions) initiate(ctx context.Context, n *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
	n.Secrets(secretNames()...)
	x, err := o.begin(ctx, n, offer)
	if err != nil {
		return stream.Outcome{}, fmt.Errorf("auth: %w", err)
	}
	if err := x.run(ctx, n); err != nil {
		return stream.Outcome{}, fmt.Errorf("auth: %s: %w", x.mechanism, err)
	}
	o.remember(ctx, n, x.pin, nil)
	if t := n.Trace(); t.Authenticated != nil {
		t.Authenticated(jid.JID{}, x.mechanism)
	}
	// RFC 6120 §6.3.2.
	return stream.Outcome{Reached: stream.Authenticated, Restart: true}, nil
}

// begin picks the mechanism.
func (o *ClientOptions) begin(ctx context.Context, n *stream.Negotiation, offer *stream.Element) (*clientExchange, error) {
	offered, err := parseMechanisms(offer)
	if err != nil {
		return nil, err
	}
	known, err := o.recall(ctx, n)
	if err != nil {
		return nil, err
	}
	return o.choose(n, offered, o.policy(n, known.Floor))
}

// policy is what holds on the connection, for either profile. Floor is the one remembered.
func (o *ClientOptions) policy(n *stream.Negotiation, floor sasl.Strength) sasl.Policy {
	sec := n.Security()
	return sasl.Policy{
		Bindings:    bindingsOf(sec),
		ServerTypes: parseTypes(n.Features()),
		Secure:      sec.Secure() && sec.Verified,
		Floor:       max(o.Floor, floor),
		Credentials: o.kinds(sec),
	}
}

// choose picks the mechanism from those offered, and starts it.
func (o *ClientOptions) choose(n *stream.Negotiation, offered []string, p sasl.Policy) (*clientExchange, error) {
	m, binding, err := sasl.Select(o.Mechanisms, offered, p)
	if err != nil {
		return nil, err
	}
	return o.newExchange(m, o.config(n, offered, p, binding))
}

// config is what a mechanism needs to know.
func (o *ClientOptions) config(n *stream.Negotiation, offered []string, p sasl.Policy, binding sasl.Binding) *sasl.ClientConfig {
	cfg := &sasl.ClientConfig{
		Username:      o.Username,
		AuthzID:       o.AuthzID.String(),
		Password:      o.Password,
		GetPassword:   o.GetPassword,
		Token:         o.Token,
		GetToken:      o.GetToken,
		Binding:       binding,
		Offered:       offered,
		OfferedTypes:  p.ServerTypes,
		Secure:        p.Secure,
		MinIterations: o.MinIterations,
		MaxIterations: o.MaxIterations,
		Cache:         o.Cache,
		Service:       n.Domain().String(),
	}
	if cfg.Username == "" {
		cfg.Username = n.Identity().Local()
	}
	if o.CheckTLSVersion {
		cfg.TLSVersion = n.Security().Version
	}
	return cfg
}

// newExchange starts the client side of a mechanism.
func (o *ClientOptions) newExchange(m sasl.Mechanism, cfg *sasl.ClientConfig) (*clientExchange, error) {
	client, err := m.NewClient(cfg)
	if err != nil {
		return nil, err
	}
	return &clientExchange{mechanism: m.Name, pin: m.Pin(), sasl: client}, nil
}

// kinds are the kinds of credentials that there are.
func (o *ClientOptions) kinds(sec *stream.Security) []sasl.Credential {
	kinds := []sasl.Credential{sasl.NoCredential}
	other := false
	if sec.Secure() && sec.OwnCertificate && sec.Verified {
		kinds, other = append(kinds, sasl.CertificateCredential), true
	}
	if o.Token != "" || o.GetToken != nil {
		kinds, other = append(kinds, sasl.TokenCredential), true
	}
	// Who has nothing at all is told that there is no password, rather than no mechanism.
	if o.Password != "" || o.GetPassword != nil || o.Cache != nil || !other {
		kinds = append(kinds, sasl.PasswordCredential)
	}
	return kinds
}

// run plays the exchange over the stream.
func (x *clientExchange) run(ctx context.Context, n *stream.Negotiation) error {
	send, err := x.start(ctx)
	if err != nil {
		return err
	}
	for {
		if err := n.Write(send.write); err != nil {
			return err
		}
		el, err := n.Read(ctx)
		if err != nil {
			return err
		}
		step := x.next(ctx, parseFrame(el))
		switch {
		case step.done:
			return nil
		case step.err == nil:
			send = step.reply
		case step.reply.kind != 0:
			// A courtesy: the exchange has failed, whether this gets through or not.
			_ = n.Write(step.reply.write)
			return step.err
		default:
			return step.err
		}
	}
}
