package caps

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/disco"
)

// ErrNone says that an address has announced nothing, so that it has to be taken
// for one that does not know the protocol (XEP-0115 §8.3). Ask it directly, with
// [disco.GetInfo].
var ErrNone = errors.New("caps: nothing announced")

const (
	defaultAddresses = 4_096
	// maxOwn is how many answers are kept that hold for one address only.
	maxOwn = 256
	// patience is how long somebody waits for an answer of somebody else to the
	// same question before asking the one it is about.
	patience = 5 * time.Second
)

// Tracker is the module that notes what others announce in their presence, and
// finds out what it stands for when somebody wants to know. As a [stanza.Filter]
// it sees all presence that is received and lets it pass.
//
// The zero value is ready. All methods are safe for concurrent use. Fields are
// not changed once it is in use, and it must not be copied.
type Tracker struct {
	// Cache keeps what was verified, for everybody. Nil means a [MemoryCache] of
	// its own. One Cache may serve any number of Trackers.
	Cache Cache
	// Max is how many addresses are remembered with what they announce. Zero
	// means 4,096. When there are more, the one that announced something, or was
	// asked about, least recently is forgotten.
	Max int

	memory MemoryCache // stands for a nil Cache

	mu        sync.Mutex
	announced recent[jid.JID, Caps]
	own       recent[jid.JID, outcome]
	flights   map[question]*flight // no more than there are callers of Info
}

// outcome is what asking an address has led to, as far as that holds for it
// alone: information that cannot be verified, or an error because it was wrong.
type outcome struct {
	about Caps // nothing else
	info  *disco.Info
	err   error
}

// question is what is asked once at a time: what a key stands for, or what an
// address means by something that cannot be verified.
type question struct {
	key   Key
	who   jid.JID
	about Caps
}

// flight is a question on its way.
type flight struct {
	who  jid.JID       // who is asked
	done chan struct{} // closed when the rest is set
	info *disco.Info
	err  error
}

// Name implements [stanza.Module].
func (t *Tracker) Name() string { return "caps" }

// Features implements [stanza.Featurer].
func (t *Tracker) Features() []string { return []string{NS} }

// Register implements [stanza.Module]. There is nothing to route: see
// [Tracker.Filter].
func (t *Tracker) Register(*stanza.Mux) error { return nil }

// Filter implements [stanza.Filter]: it notes what presence announces, and lets
// everything pass.
func (t *Tracker) Filter(_ context.Context, _ stanza.Sender, st stanza.Stanza) stanza.Verdict {
	if p, ok := st.(*stanza.Presence); ok {
		t.Note(p)
	}
	return stanza.Pass()
}

// Note notes what a received presence announces, for those who do not install
// the Tracker as a module. Presence of the type unavailable is the end of what
// its sender has announced. Available presence without an announcement changes
// nothing, because a server may leave out what it has passed on before (XEP-0115
// §8.4).
func (t *Tracker) Note(p *stanza.Presence) {
	if p.From.IsZero() {
		return
	}
	switch p.Type {
	case stanza.AvailablePresence:
		if c, ok := Of(p); ok {
			t.note(p.From, c)
		}
	case stanza.UnavailablePresence:
		t.mu.Lock()
		defer t.mu.Unlock()
		t.announced.remove(p.From)
		t.own.remove(p.From)
	}
}

func (t *Tracker) note(who jid.JID, c Caps) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.announced.put(who, c, orDefault(t.Max, defaultAddresses))
}

// Announced returns what an address, in most cases a full JID, has announced
// last.
func (t *Tracker) Announced(who jid.JID) (Caps, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.announced.get(who)
}

// Info returns what the entity at address who can do, going by what it has
// announced. If nobody has found out before it is asked, through d; everybody who
// wants to know the same meanwhile waits for that one answer. The Info is shared:
// do not change it. Its node is empty.
//
// The error wraps [ErrNone] if nothing was announced; [ErrIllFormed] or
// [ErrMismatch] if the answer is not what was announced, or a [*stanza.Error]
// without Received if it is malformed: then who is not asked again before
// announcing something else, while others who announce the same are (XEP-0115
// §5.4). Other errors are those of [disco.GetInfo]. ctx should have a
// deadline.
func (t *Tracker) Info(ctx context.Context, d disco.Doer, who jid.JID) (*disco.Info, error) {
	for patient := true; ; {
		c, ok := t.Announced(who)
		if !ok {
			return nil, fmt.Errorf("%w by that address", ErrNone)
		}
		q := question{who: who, about: c}
		if c.Verifiable() {
			q = question{key: c.Key()}
		}
		t.mu.Lock()
		if o, ok := t.own.get(who); ok && o.about == c {
			t.mu.Unlock()
			return t.settled(ctx, c, o)
		}
		f := t.flights[q]
		if f == nil || !patient && f.who != who {
			f = &flight{who: who, done: make(chan struct{})}
			if t.flights == nil {
				t.flights = make(map[question]*flight)
			}
			t.flights[q] = f // those who come later wait for this one
			t.mu.Unlock()
			t.fly(ctx, d, c, q, f)
			return f.info, f.err
		}
		t.mu.Unlock()

		tired := time.NewTimer(patience)
		select {
		case <-f.done:
		case <-tired.C:
			patient = f.who == who
		case <-ctx.Done():
			tired.Stop()
			return nil, fmt.Errorf("caps: waiting for an answer to somebody else: %w", ctx.Err())
		}
		tired.Stop()
		select {
		case <-f.done:
		default:
			continue
		}
		if f.err == nil {
			return f.info, nil
		}
		if f.who == who && isAnswer(f.err) {
			return nil, f.err
		}
		// What failed was somebody else's: their call, or their answer. XEP-0115
		// §5.4 rule 3.9: check that of another entity that announces the same.
	}
}

// isAnswer reports whether err is what the one who was asked has said, rather
// than something that happened to the call.
func isAnswer(err error) bool {
	_, ok := errors.AsType[*stanza.Error](err)
	return ok || errors.Is(err, ErrIllFormed) || errors.Is(err, ErrMismatch)
}

// settled returns an outcome for one address, unless it is an error and somebody
// else has meanwhile proved what the same announcement stands for.
func (t *Tracker) settled(ctx context.Context, c Caps, o outcome) (*disco.Info, error) {
	if o.err != nil {
		if info, ok := t.cache().Get(ctx, c.Key()); ok {
			return info, nil
		}
	}
	return o.info, o.err
}

func (t *Tracker) cache() Cache {
	if t.Cache != nil {
		return t.Cache
	}
	return &t.memory
}

// fly answers a question and lets everybody know who waits for it.
func (t *Tracker) fly(ctx context.Context, d disco.Doer, c Caps, q question, f *flight) {
	f.err = errors.New("caps: the query did not return") // if it panics
	defer func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.flights[q] == f {
			delete(t.flights, q)
		}
		close(f.done)
	}()
	f.info, f.err = t.ask(ctx, d, f.who, c)
}

// ask finds out what who means by c, from the cache or by a query.
func (t *Tracker) ask(ctx context.Context, d disco.Doer, who jid.JID, c Caps) (*disco.Info, error) {
	if !c.Verifiable() {
		node := "" // XEP-0115 §12: in the legacy format, everything at once
		if c.Hash != "" {
			node = c.Query() // §5.4 rule 2.1
		}
		info, err := disco.GetInfo(ctx, d, who, node)
		if err != nil {
			return nil, err
		}
		info.Node = ""
		t.keep(who, outcome{about: c, info: info}) // rule 2.3: for that address only
		return info, nil
	}
	if info, ok := t.cache().Get(ctx, c.Key()); ok {
		return info, nil
	}
	// §6.2: the exact address that has announced it, and the node.
	info, err := disco.GetInfo(ctx, d, who, c.Query())
	if e, ok := errors.AsType[*stanza.Error](err); err != nil && (!ok || e.Received) {
		return nil, err // no answer: the next one may be better
	}
	if err == nil {
		info, err = c.Verify(info)
	}
	if err != nil {
		t.keep(who, outcome{about: c, err: err})
		return nil, err // rule 3.9: kept for nobody
	}
	t.cache().Put(ctx, c.Key(), info) // rule 3.8
	return info, nil
}

// keep remembers an outcome, unless who has announced something else by now, or
// it is too large to be remembered.
func (t *Tracker) keep(who jid.JID, o outcome) {
	if o.info != nil {
		if b, err := o.info.AppendXML(nil); err != nil || len(b) > 2*maxHashed {
			return
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if c, ok := t.announced.get(who); ok && c == o.about {
		t.own.put(who, o, maxOwn)
	}
}
