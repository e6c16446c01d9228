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
		space := t.name(v)
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
	if len(t.decls) > 1 && !uniquePrefixes(t.bindings[from:]) {
		t.fail(NotWellFormed, "namespace prefix declared twice")
		return false
	}
	return true
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

// unbind takes declarations out of force until n are left.
func (t *Tokenizer) unbind(n int) {
	clear(t.bindings[n:])
	t.bindings = t.bindings[:n]
	t.def = defaultSpace(t.bindings)
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
	for i := len(t.bindings) - 1; i >= 0; i-- {
		if t.bindings[i].prefix == prefix {
			*space = t.bindings[i].space
			if i < t.outer {
				t.flags |= itemOuterPrefix
				if t.used != nil {
					t.used[i] = true
				}
			}
			return true
		}
	}
	if prefix == "xml" {
		*space = NSXML
		return true
	}
	// RFC 6120 §11.3, Namespaces in XML §5, "Prefix Declared"
	t.fail(NotWellFormed, "namespace prefix that is not declared")
	return false
}
