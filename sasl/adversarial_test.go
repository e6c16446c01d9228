package sasl

import (
	"context"
	"strings"
	"testing"
)

func allow(context.Context, Identity) error { return nil }

// TestAdversarial holds the attacks that this package answers, one subtest each.
func TestAdversarial(t *testing.T) {
	t.Run("S01", func(t *testing.T) { testS01(t); testS01Others(t) })
	t.Run("S02", func(t *testing.T) { testS02(t); testS02Others(t) })
	t.Run("S04", testS04)
	t.Run("S05", testS05)
	t.Run("S06", testS06)
	t.Run("S07", testS07)
	t.Run("S08", testS08)
	t.Run("S09", testS09)
	t.Run("S11", testS11)
	t.Run("S12", testS12)
	t.Run("S13", testS13)
	t.Run("S14", testS14)
	t.Run("S18", testS18)
	t.Run("S19", testS19)
	t.Run("S22", testS22)
	t.Run("S24", testS24)
	t.Run("S25", testS25)
	t.Run("S30", testS30)
	t.Run("S31", func(t *testing.T) { testS31(t); testS31Digest(t) })
}

// start runs an exchange up to the client-final-message and returns the messages; the server waits
// for the third.
func start(t testing.TB, m Mechanism, ccfg *ClientConfig, scfg *ServerConfig) (s Server, first, challenge, final string) {
	t.Helper()
	c := newClient(t, m, ccfg)
	s = newServer(t, m, scfg)
	first = string(send(t, c, nil))
	challenge = string(send(t, s, []byte(first)))
	final = string(send(t, c, []byte(challenge)))
	return s, first, challenge, final
}

// sign returns the client-final-message for whatever messages, with a proof that is right: what is
// wrong about the messages then cannot be refused on account of the proof.
func sign(h Hash, first, challenge, withoutProof string) string {
	parts := strings.SplitN(first, ",", 3)
	proof, _ := refProof(h, refDerive(h, testPassword, []byte(testSalt), MinIterations), parts[2]+","+challenge+","+withoutProof)
	return withoutProof + ",p=" + proof
}
