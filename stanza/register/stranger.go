package register

import (
	"context"
	"errors"
	"time"

	"stanzakit.dev/xmpp/jid"
	"stanzakit.dev/xmpp/stanza"
	"stanzakit.dev/xmpp/stanza/form"
	"stanzakit.dev/xmpp/stream"
)

const defaultInstructions = "Choose a user name and a password."

// iqName is a request of a client; XEP-0077 §8: servers do not register with
// servers.
var iqName = stream.Name{Space: stream.NSClient, Local: "iq"}

// progressKey is where a stream's progress is kept.
type progressKey struct{}

// progress is how far a stream has come with registering.
type progress struct {
	requests int
	done     bool // there is an account
}

// advertise implements stream.Feature.Advertise (XEP-0077 §8).
func advertise(n *stream.Negotiation, w *stream.Writer) error {
	if n.Profile().ContentNS != stream.NSClient {
		return nil
	}
	w.Start(featureName)
	w.End()
	return nil
}

// conceal implements stream.Feature.Advertise, and offers nothing: before anything is
// read it says that there will be passwords, then and during the session.
func conceal(n *stream.Negotiation, _ *stream.Writer) error {
	n.Secrets(queryName)
	return nil
}

// claims implements stream.Feature.Claims.
func claims(el *stream.Element) bool {
	if el.Name() != iqName {
		return false
	}
	if t, _ := el.AttrBytes("type"); string(t) != "get" && string(t) != "set" {
		return false
	}
	_, ok := el.Child(queryName)
	return ok
}

// accept implements stream.Feature.Accept: one request, after which the stream
// goes on as before.
func (m *Module) accept(ctx context.Context, n *stream.Negotiation, el *stream.Element) (stream.Outcome, error) {
	p, _ := n.Value(progressKey{}).(*progress)
	if p == nil {
		p = new(progress)
		n.SetValue(progressKey{}, p)
	}
	limit := m.PerStream
	if limit == 0 {
		limit = defaultPerStream
	}
	if p.requests++; p.requests > limit {
		return stream.Outcome{}, &stream.Error{Condition: stream.PolicyViolation, Text: "too many requests to register"}
	}
	var iq stanza.IQ
	err := iq.DecodeElement(el)
	// Nobody yet, whatever the request says.
	iq.From = jid.JID{}
	var answer stanza.Payload
	if err == nil {
		answer, err = m.stranger(ctx, n, p, &iq)
	}
	var fatal *stream.Error
	switch {
	case errors.As(err, &fatal), ctx.Err() != nil:
		return stream.Outcome{}, errors.Join(err, ctx.Err())
	case err != nil:
		return stream.Outcome{}, n.Write(func(w *stream.Writer) { w.Append(iq.ErrorReply(err)) })
	}
	return stream.Outcome{}, n.Write(func(w *stream.Writer) { w.Append(iq.Result(answer)) })
}

// stranger answers somebody who has not authenticated.
func (m *Module) stranger(ctx context.Context, n *stream.Negotiation, p *progress, iq *stanza.IQ) (stanza.Payload, error) {
	if !iq.To.IsZero() && iq.To != n.Domain() {
		return nil, stanza.ServiceUnavailable
	}
	var q Query
	if err := q.DecodeElement(iq.Element()); err != nil {
		return nil, err
	}
	switch {
	case iq.Type == stanza.GetIQ:
		return m.asked(), nil
	case p.done:
		// XEP-0077 §3.1.1: a second identity.
		return nil, &stanza.Error{Condition: stanza.NotAcceptable, Text: "this stream has an account already"}
	case q.Remove:
		// §3.2, §3.3: whoever is not registered has nothing to cancel or change.
		return nil, stanza.UnexpectedRequest
	case m.URL != "": // §5
		return nil, &stanza.Error{Condition: stanza.NotAllowed, Text: "registration is elsewhere"}
	}
	who, err := m.applicant(ctx, n.Domain(), &q)
	if err != nil {
		return nil, err
	}
	if !m.admits(who.Address, time.Now()) {
		// RFC 6120 §8.3.3.18; XEP-0077 §3.1.1 leaves it open.
		return nil, &stanza.Error{Condition: stanza.ResourceConstraint, Text: "too many registrations, try again later"}
	}
	if m.Allow != nil {
		if err := m.Allow(ctx, who); err != nil {
			return nil, err
		}
	}
	if err := m.Accounts.Create(ctx, who.Account, who.Fields[Password]); err != nil {
		return nil, refusal(err)
	}
	p.done = true
	return nil, nil
}

// asked is what has to be filled in (XEP-0077 §3.1): fields, and a form for those
// who understand it (§4, §6).
func (m *Module) asked() *Query {
	q := &Query{Instructions: m.Instructions, URL: m.URL}
	if q.Instructions == "" {
		q.Instructions = defaultInstructions
		if m.URL != "" {
			q.Instructions = "To register, visit " + m.URL
		}
	}
	if m.URL != "" {
		return q // §5: no fields and no form
	}
	q.Fields = make(Values)
	q.Form = form.New(form.Form, NS)
	q.Form.Title, q.Form.Instructions = "Registration", []string{q.Instructions}
	for _, f := range m.required() {
		q.Fields[f] = ""
		q.Form.Fields = append(q.Form.Fields, field(f))
	}
	return q
}

// labels are those of the fields of XEP-0077 §13.4.1, where the name alone does
// not say it.
var labels = map[Field]string{
	Username: "User name", Password: "Password", Nick: "Nickname", FullName: "Full name", First: "Given name",
	Last: "Family name", Email: "Email address", Address: "Street", City: "City", State: "Region",
	Zip: "Postal code", Phone: "Telephone number", URL: "Web page", Date: "Date", Misc: "Other", Text: "Text",
}

// field is one of the fields of a form, required.
func field(f Field) form.Field {
	out := form.Field{Var: string(f), Type: form.TextSingle, Label: labels[f], Required: true}
	if f == Password {
		out.Type = form.TextPrivate
	}
	return out
}

// values returns what was filled in: in the form, if there is one of that
// FORM_TYPE or of none, and otherwise in the fields (XEP-0077 §4, §6).
func values(q *Query, formType string) (Values, error) {
	if q.Form == nil {
		return q.Fields, nil
	}
	if q.Form.Type != form.Submit {
		return nil, bad("a form that is not filled in")
	}
	if t := q.Form.FormType(); t != "" && t != formType {
		return nil, bad("a form for something else")
	}
	out := make(Values)
	for _, name := range schema {
		f := q.Form.Field(string(name))
		if f == nil {
			continue
		}
		if out[name] = f.String(); len(out[name]) > maxField {
			return nil, bad("%s is too long", name)
		}
	}
	return out, nil
}

// applicant finds out who asks for an account, and whether all is filled in.
func (m *Module) applicant(ctx context.Context, domain jid.JID, q *Query) (Applicant, error) {
	got, err := values(q, NS)
	if err != nil {
		return Applicant{}, err
	}
	who := Applicant{Fields: make(Values)}
	for _, f := range m.required() {
		// XEP-0077 §3.1, example 7 and its note: an empty password is none.
		if got[f] == "" {
			return Applicant{}, &stanza.Error{Condition: stanza.NotAcceptable, Text: "the " + string(f) + " is missing"}
		}
		who.Fields[f] = got[f]
	}
	if who.Account, err = jid.New(got[Username], domain.Domain(), ""); err != nil {
		return Applicant{}, &stanza.Error{Condition: stanza.NotAcceptable, Text: "the user name cannot be used", Cause: err}
	}
	who.Fields[Username] = who.Account.Local()
	who.Address = m.address(ctx)
	return who, nil
}
