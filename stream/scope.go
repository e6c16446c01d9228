package stream

// binding is a namespace declaration in force: prefix "" is the default
// namespace. Bindings are kept as a stack, the innermost last.
type binding struct{ prefix, space string }

// itemFlags says what the element that a scanner reads does with namespaces;
// see Element.
type itemFlags uint8

const (
	// itemOuterPrefix: a prefix is used that was declared outside.
	itemOuterPrefix itemFlags = 1 << iota
	// itemPrefixed: an element other than the outermost one has a prefix.
	itemPrefixed
	// itemContentDecl: an element other than the outermost one declares a
	// content namespace, such as jabber:client.
	itemContentDecl
)

// isContentSpace reports whether a namespace is the content namespace of some
// kind of stream (RFC 6120 §4.8.2; XEP-0114 §3), and thus changes when a stanza
// goes from one stream to another.
func isContentSpace(s string) bool {
	switch s {
	case NSClient, NSServer, "jabber:component:accept", "jabber:component:connect":
		return true
	}
	return false
}

// declare brings the declarations of the start tag into force (Namespaces in
// XML §3, §6).
func (t *Tokenizer) declare() bool {
	if len(t.bindings)+len(t.decls) > t.lim.Namespaces {
		t.fail(PolicyViolation, "more than %d namespace declarations in scope", t.lim.Namespaces)
		return false
	}
	from := len(t.bindings)
	for i := range t.decls {
		d := &t.decls[i]
		v := d.value
		if d.coded {
			t.scratch = appendValue(t.scratch[:0], v)
			v = t.scratch
		}
		if len(v) > longestName {
			t.fail(PolicyViolation, "namespace name longer than %d octets", longestName)
			return false
		}
		space := t.intern(v).tag
		if why := reservedBinding(d.prefix, space); why != "" {
			t.fail(NotWellFormed, "%s", why)
			return false
		}
		if isContentSpace(space) && len(t.frames) > t.level+1 {
			t.flags |= itemContentDecl
		}
		t.bindings = append(t.bindings, binding{d.prefix, space})
		if d.prefix == "" {
			t.def = space
		}
	}
	t.index(from)
	if len(t.decls) > 1 && !uniquePrefixes(t.bindings[from:]) {
		t.fail(NotWellFormed, "namespace prefix declared twice")
		return false
	}
	return true
}

// declaresDefault reports whether the start tag just read declares the default
// namespace.
func (t *Tokenizer) declaresDefault() bool {
	for i := range t.decls {
		if t.decls[i].prefix == "" {
			return true
		}
	}
	return false
}

// reservedBinding says why prefix may not be bound to space, or returns "".
func reservedBinding(prefix, space string) string {
	switch {
	case prefix == "xmlns", space == nsXMLNS:
		return "the prefix xmlns cannot be declared"
	case (prefix == "xml") != (space == NSXML):
		return "the prefix xml and its namespace belong together"
	case prefix != "" && space == "":
		return "a prefix cannot be undeclared"
	}
	return ""
}

// uniquePrefixes checks the declarations of one tag for one that occurs twice
// (XML 1.0 §3.1, "Unique Att Spec").
func uniquePrefixes(b []binding) bool {
	if len(b) > manyAttrs {
		seen := make(map[string]struct{}, len(b))
		for i := range b {
			seen[b[i].prefix] = struct{}{}
		}
		return len(seen) == len(b)
	}
	for i := range b {
		for j := range b[:i] {
			if b[i].prefix == b[j].prefix {
				return false
			}
		}
	}
	return true
}

// fewBindings is the number of declarations up to which they are searched one
// by one. Beyond it Tokenizer.latest finds them, so that a peer that declares as
// many as it may does not slow down every prefix after that. It takes as many
// searches to be worth making: who looks into many small elements, each with
// the declarations around it, does not make it for each.
const fewBindings = 16

// index brings t.latest, if it is in use, up to date with the bindings from
// index from on.
func (t *Tokenizer) index(from int) {
	if len(t.latest) == 0 {
		return
	}
	for i := from; i < len(t.bindings); i++ {
		p := t.bindings[i].prefix
		t.latest[p] = append(t.latest[p], i)
	}
}

// indexAll takes t.latest into use.
func (t *Tokenizer) indexAll() {
	if t.latest == nil {
		t.latest = make(map[string][]int, len(t.bindings))
	}
	for i := range t.bindings {
		p := t.bindings[i].prefix
		t.latest[p] = append(t.latest[p], i)
	}
}

// unindex takes the bindings from index from on out of t.latest.
func (t *Tokenizer) unindex(from int) {
	if len(t.latest) == 0 {
		return
	}
	for i := len(t.bindings) - 1; i >= from; i-- {
		p := t.bindings[i].prefix
		if at := t.latest[p]; len(at) > 1 {
			t.latest[p] = at[:len(at)-1]
		} else {
			delete(t.latest, p)
		}
	}
}

// lookup returns the index of the binding in force for prefix, or -1.
func (t *Tokenizer) lookup(prefix string) int {
	if len(t.latest) == 0 && len(t.bindings) > fewBindings {
		if t.searches++; t.searches > fewBindings {
			t.indexAll()
		}
	}
	if len(t.latest) > 0 {
		if at := t.latest[prefix]; len(at) > 0 {
			return at[len(at)-1]
		}
		return -1
	}
	for i := len(t.bindings) - 1; i >= 0; i-- {
		if t.bindings[i].prefix == prefix {
			return i
		}
	}
	return -1
}

// unbind takes declarations out of force until n are left.
func (t *Tokenizer) unbind(n int) {
	t.unindex(n)
	clear(t.bindings[n:])
	t.bindings = t.bindings[:n]
	t.def = ""
	if i := t.lookup(""); i >= 0 {
		t.def = t.bindings[i].space
	}
}

// defaultSpace returns the default namespace that bindings amount to.
func defaultSpace(bindings []binding) string {
	for i := len(bindings) - 1; i >= 0; i-- {
		if bindings[i].prefix == "" {
			return bindings[i].space
		}
	}
	return ""
}

// resolve sets *space to the namespace that prefix, which is not empty, stands
// for.
func (t *Tokenizer) resolve(space *string, prefix string) bool {
	if i := t.lookup(prefix); i >= 0 {
		*space = t.bindings[i].space
		if i < t.outer {
			t.flags |= itemOuterPrefix
			if t.used != nil {
				t.used[i] = true
			}
		}
		return true
	}
	if prefix == "xml" {
		*space = NSXML
		return true
	}
	// RFC 6120 §11.3, Namespaces in XML §5, "Prefix Declared"
	t.fail(NotWellFormed, "namespace prefix that is not declared")
	return false
}
