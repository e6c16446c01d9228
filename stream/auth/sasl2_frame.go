package auth

import (
	"fmt"
	"slices"
	"strings"

	"stanzakit.dev/xmpp/sasl"
	"stanzakit.dev/xmpp/stream"
)

// NS2 is the namespace of SASL 2 (XEP-0388).
const NS2 = "urn:xmpp:sasl:2"

// frame2Kind tells the elements of SASL 2 apart.
type frame2Kind uint8

const (
	frame2Foreign      frame2Kind = iota // not in the namespace of SASL 2
	frame2Unknown                        // in the namespace, but nothing that is defined
	frame2Authenticate                   // §2.3
	frame2Challenge                      // §2.5
	frame2Response                       // §2.5
	frame2Success                        // §2.6.1
	frame2Failure                        // §2.6.2
	frame2Continue                       // §2.6.3
	frame2Next                           // §2.6.3
	frame2TaskData                       // §2.6.3
	frame2Abort                          // §4.5
)

// element2Names are the local names of the frames, by kind.
var element2Names = [...]string{
	frame2Authenticate: "authenticate",
	frame2Challenge:    "challenge",
	frame2Response:     "response",
	frame2Success:      "success",
	frame2Failure:      "failure",
	frame2Continue:     "continue",
	frame2Next:         "next",
	frame2TaskData:     "task-data",
	frame2Abort:        "abort",
}

// Bounds on what a frame lists.
const (
	maxTasks    = 16
	maxUpgrades = 16
)

// secret2Names are the elements whose contents stay out of traces, and with them everything else
// in the same first-level element.
func secret2Names() []stream.Name {
	return []stream.Name{
		{Space: NS2, Local: "authenticate"}, // also for the id of the user agent, part of what tokens are bound to
		{Space: NS2, Local: "challenge"},
		{Space: NS2, Local: "response"},
		{Space: NS2, Local: "success"}, // where the last words of a mechanism or a task are
		{Space: NS2, Local: "continue"},
		{Space: NS2, Local: "next"},
		{Space: NS2, Local: "task-data"},
	}
}

// frame2 is one element of SASL 2, detached from the bytes it came in.
type frame2 struct {
	kind frame2Kind
	name stream.Name

	mechanism string // of an authenticate
	task      string // of a next
	// data is what the mechanism says: of an authenticate, challenge, response, success or continue;
	// nil: nothing.
	data     []byte
	agent    stream.UserAgent // of an authenticate
	upgrades []string         // of an authenticate: tasks of XEP-0480
	fast     fastRequest      // of an authenticate: XEP-0484
	who      string           // of a success: the authorization identifier
	tasks    []string         // of a continue
	text     string           // of a continue, for people
	failure  *Failure         // of a failure
	token    StoredToken      // of a success, to be written

	// content are further elements to write: of an authenticate, success, continue, next or task-data.
	content rawXML
	// el is the element that was read, a copy, where there may be more in it for others.
	el *stream.Element

	// err is why the frame cannot be used: errEncoding or errContent.
	err error
}

// rawXML is zero or more complete elements.
type rawXML []byte

// AppendXML implements what stream.Writer.Append wants.
func (x rawXML) AppendXML(dst []byte) ([]byte, error) { return append(dst, x...), nil }

// parseKind2 reads what an element is, and what it is about. Contents, which may be a password, are
// not touched.
func parseKind2(el *stream.Element) frame2 {
	f := frame2{name: el.Name()}
	if f.name.Space != NS2 {
		return f
	}
	f.kind = frame2Unknown
	for kind, local := range element2Names { // the empty one is no element's
		if local == f.name.Local {
			f.kind = frame2Kind(kind)
		}
	}
	switch f.kind {
	case frame2Authenticate:
		f.mechanism = el.Attr("mechanism")
	case frame2Next:
		f.task = el.Attr("task")
	}
	return f
}

// parseFrame2 reads an element of SASL 2. It never fails: whether a frame makes sense is for the
// exchange to say.
func parseFrame2(el *stream.Element) frame2 {
	f := parseKind2(el)
	f.readContent(el)
	return f
}

// readContent reads what is in the element.
func (f *frame2) readContent(el *stream.Element) {
	switch f.kind {
	case frame2Challenge, frame2Response:
		f.data, f.err = decodeElement(el)
	case frame2Failure:
		f.failure = parseFailure2(el)
	case frame2Authenticate, frame2Success, frame2Continue:
		f.el = el.Clone()
		f.readChildren()
	case frame2Next, frame2TaskData:
		f.el = el.Clone()
	}
}

// readChildren reads what is defined for an element that may hold more.
func (f *frame2) readChildren() {
	seen := make(map[stream.Name]bool)
	for child := range f.el.Children() {
		name := child.Name()
		// Of two, somebody else may take the other one.
		if once2[name] && seen[name] {
			f.fail(fmt.Errorf("%w: two elements %s", errContent, name.Local))
			return
		}
		seen[name] = true
		if f.fail(f.readChild(name, child)); f.err != nil {
			return
		}
	}
	switch {
	case f.kind == frame2Success && f.who == "":
		f.fail(fmt.Errorf("%w: no authorization identifier", errContent))
	case f.kind == frame2Continue && len(f.tasks) == 0:
		f.fail(fmt.Errorf("%w: no tasks", errContent))
	}
}

// once2 are the children that may occur once.
var once2 = map[stream.Name]bool{
	{Space: NS2, Local: "initial-response"}:         true,
	{Space: NS2, Local: "additional-data"}:          true,
	{Space: NS2, Local: "authorization-identifier"}: true,
	{Space: NS2, Local: "user-agent"}:               true,
	{Space: NS2, Local: "tasks"}:                    true,
	{Space: NSFast, Local: "fast"}:                  true,
	{Space: NSFast, Local: "request-token"}:         true,
	{Space: NSFast, Local: "token"}:                 true,
}

// readChild reads one child. Those that are not defined here are for others, or for nobody.
func (f *frame2) readChild(name stream.Name, child *stream.Element) (err error) {
	switch f.kind {
	case frame2Authenticate:
		switch name {
		case stream.Name{Space: NS2, Local: "initial-response"}:
			f.data, err = decodeElement(child)
		case stream.Name{Space: NS2, Local: "user-agent"}:
			f.agent, err = parseAgent(child)
		case stream.Name{Space: nsUpgrade, Local: "upgrade"}:
			f.upgrades, err = appendName(f.upgrades, child, maxUpgrades)
		case stream.Name{Space: NSFast, Local: "fast"}, stream.Name{Space: NSFast, Local: "request-token"}:
			err = f.fast.read(child)
		}
	case frame2Success, frame2Continue:
		switch name {
		case stream.Name{Space: NS2, Local: "additional-data"}:
			f.data, err = decodeElement(child)
		case stream.Name{Space: NS2, Local: "authorization-identifier"}:
			// No address begins or ends with white space; the examples of XEP-0388 have it.
			f.who = strings.Trim(child.Text(), " \t\r\n")
		case stream.Name{Space: NS2, Local: "text"}:
			f.text = plainText(child.Text())
		case stream.Name{Space: NS2, Local: "tasks"}:
			for task := range child.Children() {
				if task.Name() != (stream.Name{Space: NS2, Local: "task"}) {
					continue
				}
				if f.tasks, err = appendName(f.tasks, task, maxTasks); err != nil {
					break
				}
			}
		}
	}
	return err
}

// fail keeps the first error.
func (f *frame2) fail(err error) {
	if f.err == nil {
		f.err = err
	}
}

// appendName appends the name of a task, which is like that of a mechanism (XEP-0388 §8). What
// cannot be a name is passed over, and so is what is there already.
func appendName(names []string, el *stream.Element, limit int) ([]string, error) {
	name := strings.Trim(el.Text(), " \t\r\n")
	if !validMechanism(name) || slices.Contains(names, name) {
		return names, nil
	}
	if len(names) == limit {
		return names, fmt.Errorf("%w: more than %d tasks", errContent, limit)
	}
	return append(names, name), nil
}

// decodeElement reads the SASL data of an element. It is never nil: there are no elements without
// data, and an empty one holds data of length zero (XEP-0388 §2.2).
func decodeElement(el *stream.Element) ([]byte, error) {
	for range el.Children() {
		return nil, fmt.Errorf("%w: an element inside %s", errContent, el.Name().Local)
	}
	text := el.AppendText(nil)
	switch {
	case len(text) == 0:
		return []byte{}, nil
	case string(text) == "=":
		// That is of the other profile (RFC 6120 §6.4.2).
		return nil, errEncoding
	}
	return decodeData(text)
}

// write writes the frame as an element.
func (f frame2) write(w *stream.Writer) {
	if f.kind == frame2Failure {
		f.failure.write(w, NS2)
		return
	}
	w.Start(stream.Name{Space: NS2, Local: element2Names[f.kind]})
	switch f.kind {
	case frame2Challenge, frame2Response:
		// An empty element is data of length zero.
		w.Text(encodeElement(f.data))
	case frame2Authenticate:
		w.Attr("mechanism", f.mechanism)
		writeData(w, "initial-response", f.data)
		writeAgent(w, f.agent)
		for _, u := range f.upgrades {
			w.Start(stream.Name{Space: nsUpgrade, Local: "upgrade"})
			w.Text(u)
			w.End()
		}
		f.fast.write(w)
	case frame2Success:
		writeData(w, "additional-data", f.data)
		w.Start(stream.Name{Space: NS2, Local: "authorization-identifier"})
		w.Text(f.who)
		w.End()
		writeToken(w, f.token)
	case frame2Continue:
		writeData(w, "additional-data", f.data)
		w.Start(stream.Name{Space: NS2, Local: "tasks"})
		for _, task := range f.tasks {
			w.Start(stream.Name{Space: NS2, Local: "task"})
			w.Text(task)
			w.End()
		}
		w.End()
		writeText(w, "text", f.text)
	case frame2Next:
		w.Attr("task", f.task)
	}
	if len(f.content) > 0 {
		w.Append(f.content)
	}
	w.End()
}

// writeData writes SASL data in an element of its own, which is left out if there is none (XEP-0388
// §2.2).
func writeData(w *stream.Writer, local string, data []byte) {
	if data == nil {
		return
	}
	w.Start(stream.Name{Space: NS2, Local: local})
	w.Text(encodeElement(data))
	w.End()
}

// encodeElement is the reverse of decodeElement.
func encodeElement(data []byte) string {
	if len(data) == 0 {
		return ""
	}
	return encodeData(data)
}

// parseFailure2 reads a <failure/> (XEP-0388 §2.6.2): conditions are those of RFC 6120 §6.5, in
// their namespace, and the text is in that of SASL 2.
func parseFailure2(el *stream.Element) *Failure {
	f := &Failure{Err: &sasl.Error{Condition: sasl.NotAuthorized}, Raw: append([]byte(nil), el.Raw()...)}
	found, explained := false, false
	for child := range el.Children() {
		name := child.Name()
		switch {
		case name == stream.Name{Space: NS2, Local: "text"} && !explained:
			f.Err.Text, f.Lang, explained = capText(child.Text()), child.Lang(), true
		case name.Space == NS && conditions[sasl.Condition(name.Local)] && !found:
			f.Err.Condition, found = sasl.Condition(name.Local), true
		}
	}
	return f
}
