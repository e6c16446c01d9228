package main

import (
	"bytes"
	"fmt"
	"strings"
)

const introduction = `# Conformance

Every MUST and SHOULD of RFC 6121 §§2, 3, 4, 5, 8 and RFC 6120 §§4, 8, 10, in words of our own, and the tests that fail when it is violated. The
names of the tests lead to their files. A clause that no test names is marked **untested**: that says nothing about whether the code does what it
requires. MUST also stands for SHALL and REQUIRED, SHOULD for RECOMMENDED, and both for their negations; NOTE is where a keyword is only spoken of.

This file is generated: ` + "`go run ./internal/conformance`" + ` writes it anew, and ` + "`internal/conformance/doc.go`" + ` says how a test names a clause.
`

// tally counts clauses of one level by what became of them.
type tally struct {
	all, proved, inapplicable, absent int
}

func (t *tally) untested() int { return t.all - t.proved - t.inapplicable - t.absent }

func (t *tally) add(o tally) {
	t.all += o.all
	t.proved += o.proved
	t.inapplicable += o.inapplicable
	t.absent += o.absent
}

// report returns the text of CONFORMANCE.md.
func report(c *catalogue, exclusions map[string]exclusion, proofs []proof) []byte {
	tests := map[string][]proof{}
	for _, p := range proofs {
		tests[p.clause] = append(tests[p.clause], p)
	}
	var b bytes.Buffer
	b.WriteString(introduction)
	b.WriteString("\n| chapter | level | clauses | tested | not applicable | not implemented | untested |\n|---|---|--:|--:|--:|--:|--:|\n")
	var must, should tally
	for _, ch := range c.chapters {
		m, s := count(ch, levelMust, exclusions, tests), count(ch, levelShould, exclusions, tests)
		writeTally(&b, heading(ch.id), levelMust, m)
		writeTally(&b, heading(ch.id), levelShould, s)
		must.add(m)
		should.add(s)
	}
	writeTally(&b, "**all**", levelMust, must)
	writeTally(&b, "**all**", levelShould, should)
	for _, ch := range c.chapters {
		for _, s := range ch.sections {
			fmt.Fprintf(&b, "\n### %s %s\n\n| clause | level | binds | what is required | tests |\n|---|---|---|---|---|\n", heading(s.id), s.title)
			for _, cl := range s.clauses {
				fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", cl.id, cl.level, cl.binds, cl.text, proved(cl, exclusions, tests[cl.id]))
			}
		}
	}
	return b.Bytes()
}

// count counts the clauses of one level in a chapter.
func count(ch *chapter, level string, exclusions map[string]exclusion, tests map[string][]proof) (t tally) {
	for _, s := range ch.sections {
		for _, cl := range s.clauses {
			if cl.level != level {
				continue
			}
			t.all++
			switch e := exclusions[cl.id]; {
			case len(tests[cl.id]) > 0:
				t.proved++
			case e.kind == "n/a":
				t.inapplicable++
			case e.kind == "absent":
				t.absent++
			}
		}
	}
	return t
}

func writeTally(b *bytes.Buffer, title, level string, t tally) {
	fmt.Fprintf(b, "| %s | %s | %d | %d | %d | %d | %d |\n", title, level, t.all, t.proved, t.inapplicable, t.absent, t.untested())
}

// heading makes "RFC 6121 §2.1" of 6121-2.1.
func heading(id string) string {
	rfc, numbers, _ := strings.Cut(id, "-")
	return "RFC " + rfc + " §" + numbers
}

// proved is the last cell of a clause.
func proved(cl *clause, exclusions map[string]exclusion, proofs []proof) string {
	if cl.level == levelNote {
		return "requires nothing"
	}
	if e, ok := exclusions[cl.id]; ok {
		return exclusionKinds[e.kind] + ": " + e.reason
	}
	if len(proofs) == 0 {
		return "**untested**"
	}
	var cells []string
	for _, p := range proofs {
		cells = append(cells, fmt.Sprintf("[%s](%s)", strings.NewReplacer("|", `\|`, "[", `\[`, "]", `\]`, "<", `\<`).Replace(p.test), p.file))
	}
	return strings.Join(cells, "<br>")
}
