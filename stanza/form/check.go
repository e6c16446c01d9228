package form

import (
	"fmt"
	"strings"

	"stanzakit.dev/xmpp/stanza"
)

// FieldError says what is wrong with one field of a submission. [Data.Check] puts it
// into the error that it returns, where [errors.As] finds it.
type FieldError struct {
	Var string // the name of the field, from the form that was offered
	Err error  // wraps ErrNoValue or ErrValue
}

// Error describes the problem. What was submitted is quoted and cut.
func (e *FieldError) Error() string { return "field " + e.Var + ": " + e.Err.Error() }

// Unwrap returns Err.
func (e *FieldError) Unwrap() error { return e.Err }

// Check finds out whether sub is a valid submission of the form d, which this side
// has offered. Whoever asked is the one to find out (XEP-0004 §4), and never assumes
// that the other side has done it (XEP-0122 §4.4).
//
// It is valid if it is of type [Submit], has no other FORM_TYPE than d, and has for
// every field that is required a value that is not empty, and in every field that d
// has too: no more values than its type takes; booleans, addresses, single lines and
// options as its type demands (§3.3); what its [Validation] demands. A value that is
// empty in a field that is not required means that there is none (§3.6). Fields that d does
// not have are ignored (§3.1), and so are those of type [Fixed]; the types that sub
// names do not matter. A hidden field may have been changed (§3.3): a program that
// relies on one keeps the value itself.
//
// The error is a [*stanza.Error]: [stanza.BadRequest] if sub is no submission,
// [stanza.NotAcceptable] (§4) about the first field in the order of the form that is
// not as it should be, wrapping a [*FieldError]. Its text names the field and not the
// value. Any other error means that d itself cannot be used.
func (d *Data) Check(sub *Data) error {
	if d == nil || d.Type != Form {
		return invalid("a check against what is no form")
	}
	if sub == nil || sub.Type != Submit {
		return malformed("not a submission")
	}
	if want, got := d.FormType(), sub.Field(FormTypeVar); want != "" && got != nil && (len(got.Values) != 1 || got.Values[0] != want) {
		return unacceptable(FormTypeVar, "is that of another form", fmt.Errorf("%w: another form", ErrValue))
	}
	got := make(map[string]*Field, len(sub.Fields))
	for i := range sub.Fields {
		f := &sub.Fields[i]
		if got[f.Var] != nil && f.Var != "" { // §3.2: unique
			return malformed("a field twice in a submission")
		}
		got[f.Var] = f
	}
	for i := range d.Fields {
		f := &d.Fields[i]
		if f.Type == Fixed || f.Var == "" {
			continue
		}
		if err := f.checkAnswer(got[f.Var]); err != nil {
			return err
		}
	}
	return nil
}

// unacceptable is the error about one field. The text goes to the peer, the cause
// does not.
func unacceptable(name, text string, cause error) error {
	return &stanza.Error{
		Condition: stanza.NotAcceptable,
		Text:      "field " + name + " " + text,
		Cause:     &FieldError{Var: name, Err: cause},
	}
}

// checkAnswer checks what was submitted for f: nil means nothing.
func (f *Field) checkAnswer(got *Field) error {
	switch {
	case got == nil || got.blank():
		if f.Required {
			return unacceptable(f.Var, "is required", ErrNoValue)
		}
		if got == nil {
			return nil // §3.5: keeps its value
		}
	case len(got.Values) > 1 && (f.Type.single() || f.Type == ""):
		return unacceptable(f.Var, "takes one value", fmt.Errorf("%w: several", ErrValue))
	}
	verify, err := f.Validation.compile(true)
	if err != nil {
		return fmt.Errorf("field %s of the form: %w", f.Var, err)
	}
	if err := f.checkCount(got); err != nil {
		return err
	}
	if f.Type == TextMulti && (f.Validation == nil || f.Validation.Method == Basic) {
		if got.blank() {
			return nil
		}
		// The lines are one value (§3.3 note 3); with another method each is one
		// of its own (XEP-0122 §3.2.2).
		return f.checkOne(got.Text(), verify)
	}
	seen := make(map[string]bool, len(got.Values))
	for _, v := range got.Values {
		if v == "" && !f.hasOption("") {
			continue
		}
		if f.Type == ListMulti && seen[v] {
			return unacceptable(f.Var, "has an option twice", fmt.Errorf("%w: an option twice", ErrValue))
		}
		seen[v] = true
		if err := f.checkOne(v, verify); err != nil {
			return err
		}
	}
	return nil
}

// checkCount checks how many values there are (XEP-0122 §3.3). The rule is for lists of
// several only.
func (f *Field) checkCount(got *Field) error {
	v := f.Validation
	if v == nil || f.Type != ListMulti {
		return nil
	}
	n := 0
	for _, s := range got.Values {
		if s != "" || f.hasOption("") {
			n++
		}
	}
	if n < v.ListMin || v.ListMax > 0 && n > v.ListMax {
		return unacceptable(f.Var, "has too few or too many values", fmt.Errorf("%w: %d values", ErrValue, n))
	}
	return nil
}

// checkOne checks one value that is not empty, unless that is an option.
func (f *Field) checkOne(v string, verify test) error {
	var err error
	switch f.Type {
	case Bool:
		if _, ok := parseBool(v); !ok {
			err = bad("a boolean", v)
		}
	case JIDSingle, JIDMulti:
		_, err = parseJID(v)
	case ListSingle, ListMulti:
		// §3.3: MUST NOT insert new options, unless the validation opens the list
		// (XEP-0122 §3.2).
		if !f.hasOption(v) && (f.Validation == nil || f.Validation.Method == Basic) {
			err = bad("one of the options", v)
		}
	case Hidden, TextMulti:
	default: // TextSingle, TextPrivate and what stands for them: a single line
		if strings.ContainsAny(v, "\r\n") {
			err = bad("a single line", v)
		}
	}
	if err == nil {
		err = verify(v)
	}
	if err != nil {
		return unacceptable(f.Var, "has a value that is not valid", err)
	}
	return nil
}

func (f *Field) hasOption(v string) bool {
	for _, o := range f.Options {
		if o.Value == v {
			return true
		}
	}
	return false
}
