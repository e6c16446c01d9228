package sasl

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
)

// digestClient is the client side of one DIGEST-MD5 exchange.
type digestClient struct {
	cfg  *ClientConfig
	step step
	sent digestResponse
	key  [md5.Size]byte // H(username:realm:passwd)
}

func newDigestClient(c *ClientConfig) (Client, error) {
	cfg, err := c.clone(needUsername)
	if err != nil {
		return nil, err
	}
	if !cfg.Secure {
		return nil, errInsecure(digestMD5)
	}
	// Unlike with SCRAM, the keys in Cache are of no use here.
	if cfg.Password == "" && cfg.GetPassword == nil {
		return nil, aborted("", fmt.Errorf("%w: none given", ErrPassword))
	}
	if err := checkDigestName(cfg.Username); err != nil {
		return nil, aborted("", err)
	}
	// RFC 2831 §7.2: no control characters in a quoted-string.
	if strings.ContainsFunc(cfg.AuthzID, isControl) {
		return nil, aborted("authorization identity", fmt.Errorf("%w: a control character", ErrUsername))
	}
	if err := checkRealm(cfg.Service); err != nil {
		return nil, aborted("Service", err)
	}
	return &digestClient{cfg: cfg}, nil
}

// Next implements [Client].
func (d *digestClient) Next(ctx context.Context, in []byte) (out []byte, done bool, err error) {
	at := d.step
	d.step = stepDone // unless all goes well
	switch at {
	case stepFirst:
		// RFC 2831 §2.1: the server speaks first. In a protocol without initial responses the first call has its
		// challenge already.
		if len(in) == 0 {
			d.step = stepFinal
			return nil, false, nil
		}
		fallthrough
	case stepFinal:
		if out, err = d.respond(ctx, string(in)); err == nil {
			d.step = stepOutcome
		}
	case stepOutcome:
		err = d.outcome(string(in))
		done = err == nil
		d.key = [md5.Size]byte{}
	default:
		err = aborted("", ErrFinished)
	}
	if err != nil {
		return nil, false, err
	}
	return out, done, nil
}

// respond answers the digest-challenge with the digest-response.
func (d *digestClient) respond(ctx context.Context, challenge string) ([]byte, error) {
	m, err := parseDigestChallenge(challenge)
	if err != nil {
		return nil, aborted("digest-challenge", err)
	}
	r := d.cfg.Rand
	if r == nil {
		r = rand.Reader
	}
	cnonce := d.cfg.nonce
	if cnonce == "" {
		if cnonce, err = newNonce(r); err != nil {
			return nil, aborted("", err)
		}
	}
	// RFC 2831 §2.1.1: one of the realms that the server offers. The name of the service is the one that is
	// meant where there are several, and where there is none.
	realm := d.cfg.Service
	if len(m.realms) > 0 && !slices.Contains(m.realms, realm) {
		realm = m.realms[0]
	}
	password, err := d.cfg.password(ctx)
	if err != nil {
		return nil, err
	}
	d.sent = digestResponse{username: d.cfg.Username, realm: realm, nonce: m.nonce, cnonce: cnonce,
		uri: digestURI(d.cfg.Service), authzID: d.cfg.AuthzID}
	if !m.utf8 && !isASCII(d.cfg.Username+password+realm+d.sent.uri+d.cfg.AuthzID) {
		return nil, aborted("digest-challenge", fmt.Errorf("%w: no charset, and the account is not ASCII", errDigestGrammar))
	}
	d.key = digestKey(d.cfg.Username, realm, password)
	d.sent.proof = digestProof(d.key, d.sent, "AUTHENTICATE")
	out := d.sent.append(nil, m.utf8)
	if len(out) > maxDigestResponse {
		return nil, aborted("", fmt.Errorf("%w: too long for %s", ErrUsername, digestMD5))
	}
	return out, nil
}

// outcome verifies the response-auth, with which the server proves that it knows the key (RFC 2831
// §2.1.3).
func (d *digestClient) outcome(msg string) error {
	proof, err := parseDigestOutcome(msg)
	if err != nil {
		return aborted("response-auth", err)
	}
	if !hmac.Equal(proof, digestProof(d.key, d.sent, "")) {
		return aborted("response-auth", ErrServerSignature)
	}
	return nil
}

// Format prints the name of the mechanism and nothing of the exchange, whatever the verb.
func (d *digestClient) Format(f fmt.State, _ rune) { fmt.Fprint(f, "sasl.Client(DIGEST-MD5)") }
