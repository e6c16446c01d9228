package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// The levels of clauses.
const (
	levelMust   = "MUST"
	levelShould = "SHOULD"
	levelNote   = "NOTE"
)

// maxWords bounds a paraphrase: longer ones begin to copy the text.
const maxWords = 25

// clause is one requirement of a specification.
type clause struct {
	id          string
	occurrences int    // of keywords, that it stands for
	level       string // levelMust, levelShould, levelNote
	binds       string // client, server, both
	text        string
}

// section is a section of a specification without its subsections.
type section struct {
	id          string // 6121-2.1.6
	title       string
	occurrences int
	clauses     []*clause
}

// chapter is what a section without dots and all sections below it hold.
type chapter struct {
	id          string // 6121-2
	occurrences int
	sections    []*section
}

// catalogue is the content of clauses.txt.
type catalogue struct {
	chapters []*chapter
	clauses  map[string]*clause
}

// parseCatalogue reads clauses.txt and adds up the counts in it. The error joins
// everything that is wrong.
func parseCatalogue(text string) (*catalogue, error) {
	c := &catalogue{clauses: map[string]*clause{}}
	var errs []error
	var last *section
	for number, line := range strings.Split(text, "\n") {
		var err error
		switch kind, rest, _ := strings.Cut(line, " "); {
		case line == "" || strings.HasPrefix(line, "#"):
		case kind == "chapter":
			err = c.addChapter(rest)
		case kind == "section":
			last, err = c.addSection(rest)
		default:
			err = c.addClause(last, line)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%d: %w", clausesFile, number+1, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return c, c.addUp()
}

func (c *catalogue) addChapter(line string) error {
	id, count, ok := strings.Cut(line, " ")
	n, err := strconv.Atoi(count)
	if !ok || err != nil || n < 1 {
		return fmt.Errorf("chapter without a count: %q", line)
	}
	if _, numbers, err := parseSection(id); err != nil || len(numbers) != 1 {
		return fmt.Errorf("%q is no chapter", id)
	}
	if c.chapter(id) != nil {
		return fmt.Errorf("chapter %s twice", id)
	}
	c.chapters = append(c.chapters, &chapter{id: id, occurrences: n})
	return nil
}

func (c *catalogue) addSection(line string) (*section, error) {
	fields := strings.SplitN(line, " ", 3)
	if len(fields) < 3 || fields[2] == "" {
		return nil, fmt.Errorf("section without count and title: %q", line)
	}
	n, err := strconv.Atoi(fields[1])
	if err != nil || n < 1 {
		return nil, fmt.Errorf("section without a count: %q", line)
	}
	rfc, numbers, err := parseSection(fields[0])
	if err != nil {
		return nil, err
	}
	in := c.chapter(fmt.Sprintf("%s-%d", rfc, numbers[0]))
	if in == nil {
		return nil, fmt.Errorf("section %s is in no chapter", fields[0])
	}
	if len(in.sections) > 0 {
		before := in.sections[len(in.sections)-1]
		if _, last, _ := parseSection(before.id); slices.Compare(last, numbers) >= 0 {
			return nil, fmt.Errorf("section %s behind %s", fields[0], before.id)
		}
	}
	s := &section{id: fields[0], title: fields[2], occurrences: n}
	in.sections = append(in.sections, s)
	return s, nil
}

func (c *catalogue) addClause(in *section, line string) error {
	if in == nil {
		return fmt.Errorf("clause outside of any section: %q", line)
	}
	fields := strings.SplitN(line, " ", 5)
	if len(fields) < 5 {
		return fmt.Errorf("clause of fewer than five fields: %q", line)
	}
	n, err := strconv.Atoi(fields[1])
	added := &clause{id: fields[0], occurrences: n, level: fields[2], binds: fields[3], text: fields[4]}
	words := len(strings.Fields(added.text))
	switch want := fmt.Sprintf("%s-%d", in.id, len(in.clauses)+1); {
	case added.id != want:
		return fmt.Errorf("clause %s where %s belongs", added.id, want)
	case err != nil || n < 1:
		return fmt.Errorf("clause %s stands for no occurrence", added.id)
	case !slices.Contains([]string{levelMust, levelShould, levelNote}, added.level):
		return fmt.Errorf("clause %s has the level %q", added.id, added.level)
	case !slices.Contains([]string{"client", "server", "both"}, added.binds):
		return fmt.Errorf("clause %s binds %q", added.id, added.binds)
	case words == 0 || words > maxWords:
		return fmt.Errorf("clause %s has %d words, and may have 1 to %d", added.id, words, maxWords)
	case strings.ContainsAny(added.text, "|<>`"):
		return fmt.Errorf("clause %s has a character that means something in a table: %q", added.id, added.text)
	}
	in.clauses = append(in.clauses, added)
	c.clauses[added.id] = added
	return nil
}

// addUp compares the counts: clauses with their section, sections with their
// chapter.
func (c *catalogue) addUp() error {
	var errs []error
	for _, ch := range c.chapters {
		inChapter := 0
		for _, s := range ch.sections {
			inSection := 0
			for _, cl := range s.clauses {
				inSection += cl.occurrences
			}
			if inSection != s.occurrences {
				errs = append(errs, fmt.Errorf("%s: the clauses of section %s stand for %d keywords of %d", clausesFile, s.id, inSection, s.occurrences))
			}
			inChapter += s.occurrences
		}
		if inChapter != ch.occurrences {
			errs = append(errs, fmt.Errorf("%s: the sections of chapter %s have %d keywords of %d", clausesFile, ch.id, inChapter, ch.occurrences))
		}
	}
	return errors.Join(errs...)
}

func (c *catalogue) chapter(id string) *chapter {
	for _, ch := range c.chapters {
		if ch.id == id {
			return ch
		}
	}
	return nil
}

// parseSection takes 6121-2.1.6 apart.
func parseSection(id string) (rfc string, numbers []int, err error) {
	rfc, dotted, ok := strings.Cut(id, "-")
	if _, err := strconv.Atoi(rfc); err != nil || !ok {
		return "", nil, fmt.Errorf("%q is no section", id)
	}
	for number := range strings.SplitSeq(dotted, ".") {
		n, err := strconv.Atoi(number)
		if err != nil {
			return "", nil, fmt.Errorf("%q is no section", id)
		}
		numbers = append(numbers, n)
	}
	return rfc, numbers, nil
}
