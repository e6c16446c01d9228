package stream_test

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/hex"
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
	"stanzakit.dev/xmpp/stream/auth"
	"stanzakit.dev/xmpp/stream/bind"
	xtls "stanzakit.dev/xmpp/tls"
)

// spies are what must not be in a log: each message of each exchange, and
// whatever else is added.
type spies struct {
	mu      sync.Mutex
	secrets []string
}

func (s *spies) add(secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(secret) >= 6 { // "n,,", say, is none
		s.secrets = append(s.secrets, secret)
	}
}

// on returns a mechanism whose client's exchanges are listened to.
func (s *spies) on(m sasl.Mechanism) sasl.Mechanism {
	begin := m.NewClient
	m.NewClient = func(c *sasl.ClientConfig) (sasl.Client, error) {
		x, err := begin(c)
		return spy{x, s}, err
	}
	return m
}

type spy struct {
	sasl.Client
	spies *spies
}

func (s spy) Next(ctx context.Context, in []byte) ([]byte, bool, error) {
	out, done, err := s.Client.Next(ctx, in)
	s.spies.add(string(in))
	s.spies.add(string(out))
	for _, attr := range strings.Split(string(in)+","+string(out), ",") {
		// RFC 5802 §5.1: the salt, the proof, the verifier.
		key, value, _ := strings.Cut(attr, "=")
		if key == "s" || key == "v" || key == "p" && !strings.HasPrefix(value, "tls-") { // p is a type of channel binding, too
			s.spies.add(value)
		}
	}
	return out, done, err
}

// blob is contents of an element that may be an exchange's.
var blob = regexp.MustCompile(`>[A-Za-z0-9+/]{16,}={0,2}<`)

// check looks for secrets in a log, as they are and encoded.
func (s *spies) check(t *testing.T, log string) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	require.NotEmpty(t, s.secrets)
	for _, secret := range s.secrets {
		for _, as := range []string{
			secret, base64.StdEncoding.EncodeToString([]byte(secret)), hex.EncodeToString([]byte(secret)),
			base64.StdEncoding.EncodeToString([]byte("\x00juliet\x00" + secret)), // RFC 4616
		} {
			require.NotContains(t, log, as)
		}
	}
	require.NotRegexp(t, blob, log)
}

// Whatever is logged, and however a client logs in: neither a password, nor a
// message of an exchange, nor a token is in a record, on either side.
func TestLogTraceShowsNoSecrets(t *testing.T) {
	const password, wrong, next = "correct horse battery", "wrong horse battery", "the next passphrase"
	spy := &spies{secrets: []string{password, wrong, next}}
	var mechanisms []sasl.Mechanism
	for _, m := range append(sasl.Default(), sasl.Plain()) {
		mechanisms = append(mechanisms, spy.on(m))
	}
	only := func(name string) (out []sasl.Mechanism) {
		for _, m := range mechanisms {
			if m.Name == name {
				out = append(out, m)
			}
		}
		return out
	}
	var log logged
	logger := slog.New(slog.NewJSONHandler(&log, &slog.HandlerOptions{Level: everything}))
	trace := func(side string) *stream.Trace {
		return stream.LogTrace(logger.With("side", side), &stream.LogOptions{XML: true, XMLBytes: 1 << 20})
	}
	authority, err := xtls.NewDevCA()
	require.NoError(t, err)
	certificate, err := authority.Issue(domain.Domain())
	require.NoError(t, err)
	store := &sasl.MemoryStore{Iterations: sasl.MinIterations}
	require.NoError(t, store.Set(t.Context(), "juliet", password))
	login := &auth.ServerOptions{Store: store, AllowPlain: true, SASL2: auth.SASL2ServerOptions{Tokens: new(auth.MemoryTokens)}}
	remembered := new(auth.MemoryCredentials)

	// connect logs in, says something over the session, and closes it.
	connect := func(o *auth.ClientOptions, sasl2 bool, say string) error {
		o.AllowPlain = len(o.Mechanisms) == 1 && o.Mechanisms[0].Plaintext
		o.UserAgent = stream.UserAgent{ID: "d4565fa7-4d72-4749-b3d3-740edbf87770"}
		a, b := memconn.Pipe()
		served := make(chan error, 1)
		go func() { // ends with the stream
			s, err := stream.Accept(context.Background(), b, &stream.AcceptOptions{
				Domains: []jid.JID{domain}, Trace: trace("server"),
				Features: []stream.Feature{
					xtls.StartTLSServer(&xtls.ServerOptions{Certificates: []tls.Certificate{certificate}}),
					auth.SASL2Server(login), auth.Server(login), bind.Server(nil),
				},
			})
			if err == nil {
				err = s.Serve(func(*stream.Element) error { return nil })
			}
			served <- err
		}()
		features := []stream.Feature{xtls.StartTLSClient(&xtls.ClientOptions{RootCAs: authority.Pool()}), auth.SASL2Client(o), auth.Client(o), bind.Client(nil)}
		if !sasl2 {
			features = slices.Delete(features, 1, 2)
		}
		s, err := stream.Initiate(t.Context(), a, &stream.InitiateOptions{To: domain, From: juliet.Bare(), Trace: trace("client"), Features: features})
		if err == nil {
			require.NoError(t, s.Send(t.Context(), raw(say)))
			err = s.Close(t.Context())
		}
		if served := <-served; err == nil {
			err = served
		}
		return err
	}
	saw := func(t *testing.T, mechanism string) {
		t.Helper()
		spy.check(t, log.String())
		require.Contains(t, log.String(), `"msg":"stream established","side":"client","role":"initiating"`)
		require.Contains(t, log.String(), `"mechanism":"`+mechanism+`"`)
		require.Contains(t, log.String(), `"jid":"juliet@im.example/`)
		require.Contains(t, log.String(), `[redacted `)
		require.Contains(t, log.String(), `"tls":"TLS 1.3"`)
	}

	const hello = "<message><body>hello</body></message>"
	// SASL 2 (XEP-0388) and RFC 6120 §6, with each mechanism.
	for _, name := range []string{"SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "SCRAM-SHA-1-PLUS", "SCRAM-SHA-1", "PLAIN"} {
		for profile, sasl2 := range map[string]bool{"SASL 2": true, "SASL": false} {
			t.Run(profile+" "+name, func(t *testing.T) {
				log.reset()
				require.NoError(t, connect(&auth.ClientOptions{Password: password, Mechanisms: only(name)}, sasl2, hello))
				saw(t, name)
				require.Contains(t, log.String(), hello, "what is no secret is shown")
			})
		}
	}
	t.Run("tokens", func(t *testing.T) { // XEP-0484
		log.reset()
		for range 2 {
			require.NoError(t, connect(&auth.ClientOptions{Password: password, Mechanisms: mechanisms, Credentials: remembered}, true, hello))
			known, err := remembered.Load(t.Context(), juliet.Bare())
			require.NoError(t, err)
			require.NotEmpty(t, known.Token.Token)
			spy.add(known.Token.Token)
		}
		saw(t, "HT-SHA-256-EXPR")
	})
	t.Run("wrong password", func(t *testing.T) {
		log.reset()
		require.ErrorIs(t, connect(&auth.ClientOptions{Password: wrong, Mechanisms: mechanisms}, true, hello), sasl.NotAuthorized)
		spy.check(t, log.String())
		require.Contains(t, log.String(), `"level":"WARN","msg":"stream failed","side":"client","role":"initiating"`)
	})
	// XEP-0077 §3.3, over a stream none of whose features knows of registration.
	t.Run("change of the password", func(t *testing.T) {
		log.reset()
		require.NoError(t, connect(&auth.ClientOptions{Password: password, Mechanisms: mechanisms}, true,
			"<iq type='set' id='1'><query xmlns='jabber:iq:register'><username>juliet</username><password>"+next+"</password></query></iq>"))
		saw(t, "SCRAM-SHA-256-PLUS")
		// The tracer itself hides what is in such a request, on both sides.
		require.Equal(t, 2, strings.Count(log.String(), `<iq type='set' id='1'>[redacted 109 bytes]</iq>`))
	})
}
