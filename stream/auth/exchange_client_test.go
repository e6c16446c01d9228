package auth

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// scriptedMechanism is a client mechanism that answers each call with the next step of a script.
type scriptedMechanism []scriptedStep

type scriptedStep struct {
	in, out []byte
	done    bool
	err     error
}

func (s *scriptedMechanism) Next(_ context.Context, in []byte) ([]byte, bool, error) {
	if len(*s) == 0 {
		return nil, false, &sasl.Error{Condition: sasl.Aborted, Cause: sasl.ErrFinished}
	}
	step := (*s)[0]
	*s = (*s)[1:]
	if string(step.in) != string(in) || (step.in == nil) != (in == nil) {
		return nil, false, errors.New("unexpected input to the mechanism")
	}
	return step.out, step.done, step.err
}

var (
	errMechanism = &sasl.Error{Condition: sasl.Aborted, Cause: errors.New("no")}

	challenge = func(data string) frame { return frame{kind: frameChallenge, data: []byte(data)} }
	success   = func(data []byte) frame { return frame{kind: frameSuccess, data: data} }
)

func TestClientExchange(t *testing.T) {
	two := scriptedMechanism{{out: []byte("1")}, {in: []byte("2"), out: []byte("3")}, {in: []byte("4"), done: true}}
	refused := &Failure{Err: &sasl.Error{Condition: sasl.AccountDisabled}}
	for name, c := range map[string]struct {
		mechanism scriptedMechanism
		in        []frame
		done      bool
		err       error   // of the last step
		replies   []frame // to in, without the last
		abort     bool    // the last reply
	}{
		"additional data with success": {mechanism: two, in: []frame{challenge("2"), success([]byte("4"))}, done: true,
			replies: []frame{{kind: frameResponse, data: []byte("3")}}},
		"§6.3.10 last message as a challenge": {mechanism: two, in: []frame{challenge("2"), challenge("4"), success(nil)}, done: true,
			replies: []frame{{kind: frameResponse, data: []byte("3")}, {kind: frameResponse, data: []byte{}}}},
		"one message": {mechanism: scriptedMechanism{{out: []byte("1"), done: true}}, in: []frame{success(nil)}, done: true},
		"server first": {mechanism: scriptedMechanism{{}, {in: []byte("1"), out: []byte("2"), done: true}}, in: []frame{challenge("1"), success(nil)}, done: true,
			replies: []frame{{kind: frameResponse, data: []byte("2")}}},
		"empty challenge": {mechanism: scriptedMechanism{{}, {in: []byte{}, out: []byte("2"), done: true}}, in: []frame{challenge(""), success(nil)}, done: true,
			replies: []frame{{kind: frameResponse, data: []byte("2")}}},
		"empty additional data": {mechanism: scriptedMechanism{{out: []byte("1")}, {in: []byte{}, done: true}}, in: []frame{success([]byte{})}, done: true},

		"success at once":              {mechanism: two, in: []frame{success(nil)}, err: sasl.ErrServerSignature},
		"success in the middle":        {mechanism: two, in: []frame{challenge("2"), success(nil)}, err: sasl.ErrServerSignature},
		"success with too little data": {mechanism: scriptedMechanism{{out: []byte("1")}, {in: []byte("2")}}, in: []frame{success([]byte("2"))}, err: sasl.ErrServerSignature},
		"mechanism has more to say":    {mechanism: scriptedMechanism{{out: []byte("1")}, {in: []byte("2"), out: []byte("3"), done: true}}, in: []frame{success([]byte("2"))}, err: ErrProtocol},
		"additional data when done":    {mechanism: scriptedMechanism{{out: []byte("1"), done: true}}, in: []frame{success([]byte("x"))}, err: ErrProtocol},
		"empty data when done":         {mechanism: scriptedMechanism{{out: []byte("1"), done: true}}, in: []frame{success([]byte{})}, err: ErrProtocol},
		"challenge when done":          {mechanism: scriptedMechanism{{out: []byte("1"), done: true}}, in: []frame{challenge("x")}, err: ErrProtocol, abort: true},
		"mechanism refuses challenge":  {mechanism: scriptedMechanism{{out: []byte("1")}, {in: []byte("2"), err: errMechanism}}, in: []frame{challenge("2")}, err: errMechanism, abort: true},
		"mechanism refuses success":    {mechanism: scriptedMechanism{{out: []byte("1")}, {in: []byte("2"), err: errMechanism}}, in: []frame{success([]byte("2"))}, err: errMechanism},
		"§6.5 failure":                 {mechanism: two, in: []frame{{kind: frameFailure, failure: refused}}, err: sasl.AccountDisabled},
		"§6.5 failure later":           {mechanism: two, in: []frame{challenge("2"), {kind: frameFailure, failure: refused}}, err: refused, replies: []frame{{kind: frameResponse, data: []byte("3")}}},
		"§13.9.1 challenge":            {mechanism: two, in: []frame{{kind: frameChallenge, err: errEncoding}}, err: errEncoding, abort: true},
		"§13.9.1 success":              {mechanism: two, in: []frame{{kind: frameSuccess, err: errEncoding}}, err: errEncoding},
		"element in a challenge":       {mechanism: two, in: []frame{{kind: frameChallenge, err: errContent}}, err: errContent, abort: true},
		"auth from the server":         {mechanism: two, in: []frame{{kind: frameAuth}}, err: ErrProtocol},
		"response from the server":     {mechanism: two, in: []frame{{kind: frameResponse, data: []byte("2")}}, err: ErrProtocol},
		"abort from the server":        {mechanism: two, in: []frame{{kind: frameAbort}}, err: ErrProtocol},
		"unknown element":              {mechanism: two, in: []frame{{kind: frameUnknown, name: stream.Name{Space: NS, Local: "x"}}}, err: ErrProtocol},
		"another namespace":            {mechanism: two, in: []frame{{kind: frameForeign, name: stream.Name{Space: "urn:evil", Local: "success"}}}, err: ErrProtocol},
	} {
		t.Run(name, func(t *testing.T) {
			script := append(scriptedMechanism(nil), c.mechanism...)
			x := &clientExchange{mechanism: "TEST", sasl: &script}
			first, err := x.start(t.Context())
			require.NoError(t, err)
			require.Equal(t, frame{kind: frameAuth, mechanism: "TEST", data: c.mechanism[0].out}, first)
			var step clientStep
			for i, f := range c.in {
				step = x.next(t.Context(), f)
				if i == len(c.in)-1 {
					break
				}
				require.NoError(t, step.err)
				require.False(t, step.done)
				if i < len(c.replies) {
					require.Equal(t, c.replies[i], step.reply)
				}
			}
			require.Equal(t, c.done, step.done)
			require.Equal(t, c.abort, step.reply.kind == frameAbort)
			if c.done {
				require.NoError(t, step.err)
			} else {
				require.ErrorIs(t, step.err, c.err)
				var e *sasl.Error
				require.ErrorAs(t, step.err, &e)
			}
			// Whatever comes then changes nothing.
			require.ErrorIs(t, x.next(t.Context(), success(nil)).err, ErrProtocol)
		})
	}
}

func TestClientExchangeStartFails(t *testing.T) {
	x := &clientExchange{mechanism: "TEST", sasl: &scriptedMechanism{{err: errMechanism}}}
	_, err := x.start(t.Context())
	require.ErrorIs(t, err, errMechanism)
	require.ErrorIs(t, x.next(t.Context(), success(nil)).err, ErrProtocol)
}

// A server that does not know the keys cannot pretend to (RFC 5802 §5).
func TestClientExchangeVerifiesServer(t *testing.T) {
	for name, c := range map[string]struct {
		tamper func(*frame)
		err    error
	}{
		"none":              {func(*frame) {}, nil},
		"no signature":      {func(f *frame) { f.data = nil }, sasl.ErrServerSignature},
		"another signature": {func(f *frame) { f.data = []byte("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=") }, sasl.ErrServerSignature},
		"as a challenge": {func(f *frame) {
			f.kind = frameChallenge
			f.data = []byte("v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
		}, sasl.ErrServerSignature},
	} {
		t.Run(name, func(t *testing.T) {
			client := newClient(t, scram, "r0m30")
			step := attempt(t, new(serverExchange), newRules(t), client)
			require.True(t, step.done)
			c.tamper(&step.reply)
			got := client.next(t.Context(), step.reply)
			require.Equal(t, c.err == nil, got.done)
			require.ErrorIs(t, got.err, c.err)
		})
	}
}
