package main

import (
	"errors"
	"fmt"
	"strings"
)

// The kinds of exclusions, as the file writes them, and as the report does.
var exclusionKinds = map[string]string{
	"n/a":    "not applicable",
	"absent": "not implemented",
}

// exclusion is why a clause needs no test.
type exclusion struct {
	kind   string // a key of exclusionKinds
	reason string
}

// parseExclusions reads exclusions.txt: a line is a clause, a kind and a reason.
// The error joins everything that is wrong; what is right is returned beside it.
func parseExclusions(text string, c *catalogue) (map[string]exclusion, error) {
	exclusions := map[string]exclusion{}
	var errs []error
	for number, line := range strings.Split(text, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.SplitN(line, " ", 3)
		bad := func(what string) {
			errs = append(errs, fmt.Errorf("%s:%d: %s: %q", exclusionsFile, number+1, what, line))
		}
		if len(fields) < 3 || strings.TrimSpace(fields[2]) == "" {
			bad("no clause, kind and reason")
			continue
		}
		id := fields[0]
		_, twice := exclusions[id]
		known := c.clauses[id]
		switch {
		case known == nil:
			bad("no such clause")
		case known.level == levelNote:
			bad("a clause that requires nothing")
		case exclusionKinds[fields[1]] == "":
			bad("no such kind")
		case twice:
			bad("a clause excluded twice")
		case strings.ContainsAny(fields[2], "|<>"):
			bad("a character that means something in a table")
		default:
			exclusions[id] = exclusion{kind: fields[1], reason: fields[2]}
		}
	}
	return exclusions, errors.Join(errs...)
}
