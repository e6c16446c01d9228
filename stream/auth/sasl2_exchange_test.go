package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// plain2 is a client of PLAIN that has sent its message, and knows a task of one message.
func plain2(t *testing.T) *clientExchange2 {
	s := &clientExchange2{x: newClient(t, sasl.Plain(), "r0m30"), tasks: []ClientTask{{Name: "TOTP", Begin: func(context.Context, string) (TaskFunc, error) {
		return func(context.Context, *stream.Element, *stream.Writer) (bool, error) { return true, nil }, nil
	}}}}
	_, err := s.x.start(t.Context())
	require.NoError(t, err)
	return s
}

const (
	success2  = `<success` + ns2 + `><authorization-identifier>juliet@im.example</authorization-identifier></success>`
	failure2  = `<failure` + ns2 + `><not-authorized xmlns='` + NS + `'/></failure>`
	continue2 = `<continue` + ns2 + `><tasks><task>TOTP</task></tasks></continue>`
)

// XEP-0388 §2.6: after an outcome there is no other one, whichever it was.
func TestClientExchange2IsOver(t *testing.T) {
	for name, flow := range map[string][]string{
		"success":             {success2},
		"failure":             {failure2},
		"violation":           {`<challenge` + ns2 + `/>`},
		"success after task":  {continue2, success2},
		"failure after task":  {continue2, failure2},
		"task goes on":        {continue2, `<task-data` + ns2 + `/>`},
		"unreadable in tasks": {continue2, `<success` + ns2 + `/>`},
		"no such task":        {continue2, continue2},
	} {
		for _, then := range []string{success2, continue2, failure2} {
			s := plain2(t)
			for i, xml := range flow {
				step := s.next(t.Context(), parse2(t, xml))
				last := i == len(flow)-1
				require.Equal(t, last, step.done || step.err != nil, name)
				require.Equal(t, last && flow[i] == success2, step.done, name)
				require.False(t, step.done && step.err != nil)
			}
			step := s.next(t.Context(), parse2(t, then))
			require.False(t, step.done, "%s, then %s", name, then)
			require.ErrorIs(t, step.err, ErrProtocol, "%s, then %s", name, then)
		}
	}
}

// What a failing step leaves for the wire: an <abort/> where the server waits (XEP-0388 §4.5).
func TestClientExchange2Aborts(t *testing.T) {
	for name, c := range map[string]struct {
		flow  []string
		abort bool
	}{
		"failure":           {[]string{failure2}, false},
		"challenge":         {[]string{`<challenge` + ns2 + `/>`}, true},
		"out of turn":       {[]string{`<task-data` + ns2 + `/>`}, false},
		"another task":      {[]string{`<continue` + ns2 + `><tasks><task>HOTP</task></tasks></continue>`}, true},
		"the task again":    {[]string{continue2, `<task-data` + ns2 + `/>`}, true},
		"failure in a task": {[]string{continue2, failure2}, false},
		"SASL in a task":    {[]string{continue2, `<challenge` + ns2 + `/>`}, false},
	} {
		s := plain2(t)
		var step clientStep2
		for _, xml := range c.flow {
			step = s.next(t.Context(), parse2(t, xml))
		}
		require.Error(t, step.err, name)
		if !strings.Contains(name, "failure") && name != "another task" {
			require.ErrorIs(t, step.err, ErrProtocol, name)
		}
		require.Equal(t, c.abort, step.reply.kind == frame2Abort, name)
	}
}

// A success before the task is complete for the client is given to the task, which has the last word.
func TestClientExchange2LastWords(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		done, write bool
		err, want   error
	}{
		"satisfied":       {true, false, nil, nil},
		"not satisfied":   {false, false, nil, ErrProtocol},
		"more to say":     {true, true, nil, ErrProtocol},
		"not as expected": {false, false, boom, boom},
	} {
		for _, outcome := range []string{success2, strings.Replace(continue2, "TOTP", "HOTP", 1)} {
			s := plain2(t)
			var seen []string
			s.tasks[0].Begin = func(context.Context, string) (TaskFunc, error) {
				return func(_ context.Context, in *stream.Element, w *stream.Writer) (bool, error) {
					if in == nil {
						return false, nil
					}
					seen = append(seen, in.Name().Local)
					if c.write {
						w.Start(stream.Name{Space: "urn:example:code", Local: "code"})
						w.End()
					}
					return c.done, c.err
				}, nil
			}
			step := s.next(t.Context(), parse2(t, continue2))
			require.NoError(t, step.err)
			require.Equal(t, frame2{kind: frame2Next, task: "TOTP"}, step.reply)
			step = s.next(t.Context(), parse2(t, outcome))
			require.Len(t, seen, 1)
			switch {
			case c.want != nil:
				require.ErrorIs(t, step.err, c.want, name)
				require.NotErrorIs(t, step.err, ErrTasks)
			case outcome == success2:
				require.True(t, step.done)
				require.NoError(t, step.err)
			default:
				require.ErrorIs(t, step.err, ErrTasks)
			}
		}
	}
}

// How many messages a task may have.
func TestClientExchange2Bound(t *testing.T) {
	s := plain2(t)
	s.tasks[0].Begin = func(context.Context, string) (TaskFunc, error) {
		return func(context.Context, *stream.Element, *stream.Writer) (bool, error) { return false, nil }, nil
	}
	require.NoError(t, s.next(t.Context(), parse2(t, continue2)).err)
	for range maxTaskMessages {
		require.NoError(t, s.next(t.Context(), parse2(t, `<task-data`+ns2+`/>`)).err)
	}
	require.ErrorIs(t, s.next(t.Context(), parse2(t, `<task-data`+ns2+`/>`)).err, ErrProtocol)
}

// What is offered (XEP-0388 §2.1), and what cannot be an offer.
func TestParseOffer2(t *testing.T) {
	parse := func(inside string) (offer2, error) {
		el, err := stream.ParseElement([]byte(`<authentication`+ns2+`>`+inside+`</authentication>`), nil)
		require.NoError(t, err)
		return parseOffer2(el)
	}
	o, err := parse(`<mechanism> PLAIN
</mechanism><mechanism>plain</mechanism><mechanism>PLAIN</mechanism><mechanism xmlns='urn:x'>X</mechanism><upgrade>UPGR-X</upgrade>` +
		`<upgrade xmlns='urn:xmpp:sasl:upgrade:0'>UPGR-SCRAM-SHA-256</upgrade><inline xmlns='urn:x'/>` +
		`<inline><bind xmlns='urn:xmpp:bind:0'/><fast xmlns='urn:xmpp:fast:0'><mechanism>HT-X</mechanism><mechanism>ht</mechanism><mechanism>HT-X</mechanism><x/></fast></inline>`)
	require.NoError(t, err)
	require.Equal(t, []string{"PLAIN"}, o.mechanisms)
	require.Equal(t, []string{"UPGR-SCRAM-SHA-256"}, o.upgrades)
	require.Equal(t, []string{"HT-X"}, o.fast)
	require.NotNil(t, o.inline)
	_, err = parse(`<inline/><inline/>`)
	require.ErrorIs(t, err, ErrProtocol)
	o, err = parse(`<inline><bind xmlns='urn:xmpp:bind:0'/></inline>`)
	require.NoError(t, err)
	require.Empty(t, o.fast)
	// A list without end is cut, and what is not a mechanism is passed over.
	var many strings.Builder
	for i := range maxMechanisms + 1 {
		fmt.Fprintf(&many, `<mechanism>HT-%d</mechanism>`, i)
	}
	o, err = parse(`<inline><fast xmlns='urn:xmpp:fast:0'><other>HT-X</other>` + many.String() + `</fast></inline>`)
	require.NoError(t, err)
	require.Len(t, o.fast, maxMechanisms)
	require.NotContains(t, o.fast, "HT-X")
	o, err = parse(``)
	require.NoError(t, err)
	require.Equal(t, offer2{}, o)
}
