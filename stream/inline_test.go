package stream_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"stanzakit.dev/xmpp/internal/memconn"
	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stream"
)

const nsFrame, nsRide, nsOther = "urn:example:frame", "urn:example:ride", "urn:example:other"

func frameName(local string) stream.Name { return stream.Name{Space: nsFrame, Local: local} }

// frame is a feature that others ride in, as they do in SASL 2: one request,
// one answer, and new features without a restart. What the server answers can be
// replaced.
func frame(answer string) stream.Feature {
	return stream.Feature{
		Name:    frameName("frame"),
		Forbids: stream.Authenticated,
		Advertise: func(n *stream.Negotiation, w *stream.Writer) error {
			w.Start(frameName("frame"))
			defer w.End()
			return n.AdvertiseInline(stream.InAuthentication, frameName("inline"), w)
		},
		Accept: func(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
			n.Establish(stream.Authenticated)
			w := stream.NewWriter(nil)
			w.Start(frameName("done"))
			out, err := n.AcceptInline(ctx, stream.InAuthentication, el, &w)
			if err != nil {
				return out, err
			}
			w.End()
			b, err := w.Bytes()
			if err != nil {
				return out, err
			}
			if answer != "" {
				b = []byte(answer)
			}
			out.Reached |= stream.Authenticated
			out.Features = true
			return out, n.Write(func(w *stream.Writer) { w.Append(raw(b)) })
		},
		Initiate: func(ctx context.Context, n *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
			offered, _ := offer.Child(frameName("inline"))
			var bad error
			if err := n.Write(func(w *stream.Writer) {
				w.Start(frameName("frame"))
				bad = n.RequestInline(stream.InAuthentication, offered, w)
				w.End()
			}); err != nil || bad != nil {
				return stream.Outcome{}, errors.Join(err, bad)
			}
			el, err := n.Read(ctx)
			if err != nil {
				return stream.Outcome{}, err
			}
			out, err := n.ResultInline(stream.InAuthentication, el)
			out.Reached |= stream.Authenticated
			out.Features = true
			return out, err
		},
	}
}

// ride is a feature that rides in frame, reaching state.
func ride(space string, state stream.State, forbids stream.State, log *[]string) stream.Feature {
	element := func(w *stream.Writer, local string) {
		w.Start(stream.Name{Space: space, Local: local})
		w.End()
	}
	note := func(what string, el *stream.Element) {
		if el == nil {
			*log = append(*log, space+" "+what+" nothing")
			return
		}
		*log = append(*log, space+" "+what+" "+el.Name().Local)
	}
	return stream.Feature{
		Name:    stream.Name{Space: space, Local: "feature"},
		Forbids: forbids,
		Inline: []stream.Inline{{
			Space: space,
			Advertise: func(_ *stream.Negotiation, w *stream.Writer) error {
				element(w, "offer")
				return nil
			},
			Request: func(_ *stream.Negotiation, offer *stream.Element, w *stream.Writer) error {
				note("requests on", offer)
				element(w, "request")
				return nil
			},
			Accept: func(_ context.Context, _ *stream.Negotiation, request *stream.Element, w *stream.Writer) (stream.Outcome, error) {
				note("accepts", request)
				element(w, "answer")
				return stream.Outcome{Reached: state}, nil
			},
			Result: func(_ *stream.Negotiation, answer *stream.Element) (stream.Outcome, error) {
				note("gets", answer)
				if answer == nil {
					return stream.Outcome{}, nil
				}
				return stream.Outcome{Reached: state}, nil
			},
		}},
	}
}

type ends struct {
	session *stream.Session
	err     error
}

// negotiateInline runs both sides to the goal of authenticated and bound, and
// ends the sessions.
func negotiateInline(t *testing.T, client, server []stream.Feature, ct *stream.Trace) (c, s ends) {
	t.Helper()
	prof := stream.Profile{ContentNS: stream.NSClient, Goal: stream.Authenticated | stream.Bound, InsecureGoal: true}
	synctest.Test(t, func(t *testing.T) { // a side that fails waits for the other one to hang up
		a, b := memconn.Pipe()
		accepted := make(chan ends, 1)
		go func() { // ends with the connection
			s, err := stream.Accept(context.Background(), b, &stream.AcceptOptions{Profile: prof, Domains: []jid.JID{domain}, Features: server})
			accepted <- ends{s, err}
		}()
		c.session, c.err = stream.Initiate(context.Background(), a, &stream.InitiateOptions{Profile: prof, To: domain, From: juliet, Features: client, Trace: ct})
		s = <-accepted
		for _, e := range []ends{c, s} {
			if e.session != nil {
				e.session.Abort(errors.New("test over"))
			}
		}
	})
	return c, s
}

// XEP-0388 §2.1, §2.6.1: what rides along is offered, requested and answered in
// the order of the features; new features follow without a restart.
func TestInline(t *testing.T) {
	var log []string
	both := []stream.Feature{frame(""), ride(nsOther, 0, 0, &log), ride(nsRide, stream.Bound, stream.Bound, &log)}
	offers := 0
	c, s := negotiateInline(t, both, both, &stream.Trace{FeaturesReceived: func([]stream.Name) { offers++ }})
	require.NoError(t, c.err)
	require.NoError(t, s.err)
	require.Equal(t, []string{
		nsOther + " requests on offer", nsRide + " requests on offer",
		nsOther + " accepts request", nsRide + " accepts request",
		nsOther + " gets answer", nsRide + " gets answer",
	}, log)
	require.Equal(t, 2, offers, "features after success, too")
}

// XEP-0386 §3.2: what an earlier one has reached is not done again by a later one,
// however much the client asked for both.
func TestInlineIsSkippedOnceReached(t *testing.T) {
	var log []string
	both := []stream.Feature{frame(""), ride(nsOther, stream.Bound, stream.Bound, &log), ride(nsRide, stream.Bound, stream.Bound, &log)}
	c, s := negotiateInline(t, both, both, nil)
	require.NoError(t, c.err)
	require.NoError(t, s.err)
	require.Equal(t, []string{
		nsOther + " requests on offer", nsRide + " requests on offer",
		nsOther + " accepts request",
		nsOther + " gets answer",
	}, log)
}

// Nothing that was not offered is requested, and nothing that was not requested
// is accepted or taken for an answer.
func TestInlineOnlyWhatBothHave(t *testing.T) {
	for name, c := range map[string]struct{ client, server bool }{
		"client only": {true, false}, "server only": {false, true},
	} {
		t.Run(name, func(t *testing.T) {
			var log []string
			features := func(rides bool) []stream.Feature {
				f := []stream.Feature{frame("")}
				if rides {
					f = append(f, ride(nsRide, stream.Bound, stream.Bound, &log))
				}
				return f
			}
			cl, _ := negotiateInline(t, features(c.client), features(c.server), nil)
			require.ErrorIs(t, cl.err, stream.ErrNoProgress) // nobody bound
			require.Empty(t, log)
		})
	}
}

// Answers are matched with requests.
func TestInlineAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		log    string
		want   error
	}{
		"none":       {`<done xmlns='urn:example:frame'/>`, nsRide + " gets nothing", stream.ErrNoProgress},
		"unasked":    {`<done xmlns='urn:example:frame'><answer xmlns='urn:example:other'/></done>`, nsRide + " gets nothing", stream.ErrNoProgress},
		"two":        {`<done xmlns='urn:example:frame'><answer xmlns='urn:example:ride'/><no xmlns='urn:example:ride'/></done>`, "", stream.BadFormat},
		"one of two": {`<done xmlns='urn:example:frame'><x xmlns='urn:example:x'/><yes xmlns='urn:example:ride'/></done>`, nsRide + " gets yes", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var log, ignored []string
			cl, _ := negotiateInline(t,
				[]stream.Feature{frame(""), ride(nsRide, stream.Bound, stream.Bound, &log)},
				[]stream.Feature{frame(c.answer), ride(nsRide, stream.Bound, stream.Bound, &ignored)}, nil)
			if c.want != nil {
				require.ErrorIs(t, cl.err, c.want)
			} else {
				require.NoError(t, cl.err)
			}
			want := []string{nsRide + " requests on offer"}
			if c.log != "" {
				want = append(want, c.log)
			}
			require.Equal(t, want, log)
		})
	}
}

// A request that is there twice is nobody's to choose from.
func TestInlineRequestTwice(t *testing.T) {
	var log []string
	twice := ride(nsRide, stream.Bound, stream.Bound, &log)
	request := twice.Inline[0].Request
	twice.Inline = []stream.Inline{twice.Inline[0]}
	twice.Inline[0].Request = func(n *stream.Negotiation, offer *stream.Element, w *stream.Writer) error {
		return errors.Join(request(n, offer, w), request(n, offer, w))
	}
	c, s := negotiateInline(t, []stream.Feature{frame(""), twice}, []stream.Feature{frame(""), ride(nsRide, stream.Bound, stream.Bound, &log)}, nil)
	require.ErrorIs(t, c.err, stream.BadFormat)
	require.ErrorIs(t, s.err, stream.BadFormat)
	require.NotContains(t, log, nsRide+" accepts request")
}

// Errors of what rides along end the negotiation, on the side where they are.
func TestInlineErrors(t *testing.T) {
	bad := errors.New("bad")
	var log []string
	with := func(edit func(*stream.Inline)) []stream.Feature {
		f := ride(nsRide, stream.Bound, stream.Bound, &log)
		edit(&f.Inline[0])
		return []stream.Feature{frame(""), f}
	}
	plain := func() []stream.Feature { return with(func(*stream.Inline) {}) }

	c, _ := negotiateInline(t, with(func(in *stream.Inline) {
		in.Request = func(*stream.Negotiation, *stream.Element, *stream.Writer) error { return bad }
	}), plain(), nil)
	require.ErrorIs(t, c.err, bad)

	c, _ = negotiateInline(t, with(func(in *stream.Inline) {
		in.Result = func(*stream.Negotiation, *stream.Element) (stream.Outcome, error) { return stream.Outcome{}, bad }
	}), plain(), nil)
	require.ErrorIs(t, c.err, bad)

	_, s := negotiateInline(t, plain(), with(func(in *stream.Inline) {
		in.Accept = func(context.Context, *stream.Negotiation, *stream.Element, *stream.Writer) (stream.Outcome, error) {
			return stream.Outcome{}, bad
		}
	}), nil)
	require.ErrorIs(t, s.err, bad)

	_, s = negotiateInline(t, plain(), with(func(in *stream.Inline) {
		in.Advertise = func(*stream.Negotiation, *stream.Writer) error { return bad }
	}), nil)
	require.ErrorIs(t, s.err, bad)
}

// Who did not ask gets no answer: an offer that a feature made nothing of is not
// a request, whatever the server says to it.
func TestInlineRequestOfNothing(t *testing.T) {
	var log, ignored []string
	silent := ride(nsRide, stream.Bound, stream.Bound, &log)
	silent.Inline[0].Request = func(*stream.Negotiation, *stream.Element, *stream.Writer) error { return nil }
	c, _ := negotiateInline(t, []stream.Feature{frame(""), silent}, []stream.Feature{
		frame(`<done xmlns='urn:example:frame'><answer xmlns='urn:example:ride'/></done>`), ride(nsRide, stream.Bound, stream.Bound, &ignored),
	}, nil)
	require.ErrorIs(t, c.err, stream.ErrNoProgress)
	require.Empty(t, log)
}

// An element without anything in it is no offer.
func TestInlineOffersNothing(t *testing.T) {
	var log []string
	nothing := ride(nsRide, stream.Bound, stream.Bound, &log)
	nothing.Inline[0].Advertise = func(*stream.Negotiation, *stream.Writer) error { return nil }
	unable := ride(nsOther, stream.Bound, stream.Bound, &log)
	unable.Inline[0].Accept = nil
	elsewhere := ride("urn:example:elsewhere", stream.Bound, stream.Bound, &log)
	elsewhere.Inline[0].In = stream.InBinding
	var features string
	negotiateInline(t, []stream.Feature{frame("")}, []stream.Feature{frame(""), nothing, unable, elsewhere}, &stream.Trace{XMLReceived: func(b []byte) {
		if strings.Contains(string(b), "<frame") {
			features = string(b)
		}
	}})
	require.Contains(t, features, "<frame xmlns='urn:example:frame'/>")
	require.NotContains(t, features, "inline")
}

// nest is a feature that rides in frame, and has others ride in itself, as
// binding does. What those have achieved is noted.
func nest(note func(stream.Outcome)) stream.Feature {
	name := func(local string) stream.Name { return stream.Name{Space: "urn:example:bind", Local: local} }
	return stream.Feature{Name: name("bind"), Forbids: stream.Bound, Inline: []stream.Inline{{
		Space: "urn:example:bind",
		Advertise: func(n *stream.Negotiation, w *stream.Writer) error {
			w.Start(name("bind"))
			defer w.End()
			return n.AdvertiseInline(stream.InBinding, name("inline"), w)
		},
		Request: func(n *stream.Negotiation, offer *stream.Element, w *stream.Writer) error {
			w.Start(name("bind"))
			defer w.End()
			in, _ := offer.Child(name("inline"))
			return n.RequestInline(stream.InBinding, in, w)
		},
		Accept: func(ctx context.Context, n *stream.Negotiation, el *stream.Element, w *stream.Writer) (stream.Outcome, error) {
			w.Start(name("bound"))
			defer w.End()
			out, err := n.AcceptInline(ctx, stream.InBinding, el, w)
			note(out)
			return stream.Outcome{Reached: stream.Bound}, err
		},
		Result: func(n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
			out, err := n.ResultInline(stream.InBinding, el)
			note(out)
			return stream.Outcome{Reached: stream.Bound}, err
		},
	}}}
}

// What XEP-0386 §3.1 has in the place of elements of the features' own.
func TestInlineInBinding(t *testing.T) {
	var log []string
	inBinding := func(space string, offer bool) stream.Feature {
		f := ride(space, 0, stream.Bound, &log)
		f.Inline[0].In = stream.InBinding
		f.Inline[0].Advertise = nil
		if !offer {
			f.Inline[0].Accept = nil
		}
		return f
	}
	// The order of the features is not that of the places.
	bind := nest(func(stream.Outcome) {})
	odd := inBinding("urn:d", true) // offers itself by an element that says nothing here
	odd.Inline[0].Advertise = func(_ *stream.Negotiation, w *stream.Writer) error {
		w.Start(stream.Name{Space: "urn:d", Local: "feature"})
		w.Attr("var", "urn:d")
		w.End()
		return nil
	}
	incurious := inBinding("urn:e", true)
	incurious.Inline[0].Result = nil
	server := []stream.Feature{frame(""), inBinding("urn:a", true), bind, inBinding("urn:b", true), inBinding("urn:c", false), odd, inBinding("urn:e", true)}
	client := []stream.Feature{frame(""), bind, inBinding("urn:b", true), inBinding("urn:c", true), inBinding("urn:d", true), incurious}
	var features string
	c, s := negotiateInline(t, client, server, &stream.Trace{XMLReceived: func(b []byte) {
		if strings.Contains(string(b), "<frame") {
			features = string(b)
		}
	}})
	require.NoError(t, c.err)
	require.NoError(t, s.err)
	require.Contains(t, features, "<bind xmlns='urn:example:bind'><inline xmlns='urn:example:bind'>"+
		"<feature xmlns='urn:xmpp:bind:0' var='urn:a'/><feature xmlns='urn:xmpp:bind:0' var='urn:b'/>"+
		"<feature xmlns='urn:d' var='urn:d'/><feature xmlns='urn:xmpp:bind:0' var='urn:e'/></inline></bind>")
	require.Equal(t, []string{
		"urn:b requests on feature", "urn:e requests on feature",
		"urn:b accepts request", "urn:e accepts request",
		"urn:b gets answer",
	}, log)
}

// What those who ride in it have achieved is what was achieved: facts, restarts
// and new features.
func TestInlineOutcomesAddUp(t *testing.T) {
	riding := func(space string, out stream.Outcome) stream.Feature {
		var log []string
		f := ride(space, 0, 0, &log)
		f.Inline[0].In, f.Inline[0].Advertise = stream.InBinding, nil
		f.Inline[0].Accept = func(context.Context, *stream.Negotiation, *stream.Element, *stream.Writer) (stream.Outcome, error) {
			return out, nil
		}
		f.Inline[0].Result = func(*stream.Negotiation, *stream.Element) (stream.Outcome, error) { return out, nil }
		return f
	}
	all := stream.Outcome{Reached: stream.Secure, Restart: true, Features: true}
	for name, c := range map[string]struct{ first, second, want stream.Outcome }{
		"all by the first":  {first: all, want: all},
		"all by the second": {second: all, want: all},
		"each its own":      {stream.Outcome{Restart: true}, stream.Outcome{Reached: stream.Secure, Features: true}, all},
		"features only":     {stream.Outcome{Features: true}, stream.Outcome{}, stream.Outcome{Features: true}},
		"restart only":      {stream.Outcome{}, stream.Outcome{Restart: true}, stream.Outcome{Restart: true}},
		"nothing":           {},
	} {
		t.Run(name, func(t *testing.T) {
			var got [2]stream.Outcome
			features := func(side int) []stream.Feature {
				return []stream.Feature{
					frame(""), nest(func(out stream.Outcome) { got[side] = out }), riding(nsRide, c.first), riding(nsOther, c.second),
				}
			}
			cl, s := negotiateInline(t, features(0), features(1), nil)
			require.NoError(t, cl.err)
			require.NoError(t, s.err)
			require.Equal(t, [2]stream.Outcome{c.want, c.want}, got)
			require.True(t, cl.session != nil && s.session != nil)
		})
	}
}

// What is no XML is an error, of the feature that says so or of the one that
// does not.
func TestInlineWritesNoXML(t *testing.T) {
	var log []string
	bad := ride(nsRide, stream.Bound, stream.Bound, &log)
	bad.Inline[0].Advertise = func(_ *stream.Negotiation, w *stream.Writer) error {
		w.Start(stream.Name{Space: nsRide, Local: "offer"})
		w.Text("\x00")
		w.End()
		return nil
	}
	_, s := negotiateInline(t, []stream.Feature{frame("")}, []stream.Feature{frame(""), bad}, nil)
	require.ErrorIs(t, s.err, stream.ErrCharacter)
}

// An answer is for one request, and a second one is for none.
func TestInlineResultTwice(t *testing.T) {
	var log []string
	both := frame("")
	server := ride(nsRide, stream.Bound, stream.Bound, &[]string{})
	client := ride(nsRide, stream.Bound, 0, &log)
	twice := frame("")
	initiate := twice.Initiate
	twice.Initiate = func(ctx context.Context, n *stream.Negotiation, offer *stream.Element) (stream.Outcome, error) {
		out, err := initiate(ctx, n, offer)
		if err != nil {
			return out, err
		}
		again, err := stream.ParseElement([]byte(`<done xmlns='urn:example:frame'><answer xmlns='urn:example:ride'/></done>`), nil)
		if err != nil {
			return out, err
		}
		_, err = n.ResultInline(stream.InAuthentication, again)
		return out, err
	}
	c, s := negotiateInline(t, []stream.Feature{twice, client}, []stream.Feature{both, server}, nil)
	require.NoError(t, c.err)
	require.NoError(t, s.err)
	require.Equal(t, []string{nsRide + " requests on offer", nsRide + " gets answer"}, log)
}
