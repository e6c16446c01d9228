package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// reportFile is what the command writes, at the top of the repository.
const reportFile = "CONFORMANCE.md"

const (
	clausesFile    = "internal/conformance/clauses.txt"
	exclusionsFile = "internal/conformance/exclusions.txt"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

func run() error {
	text, err := generate(os.DirFS("."))
	if err != nil {
		return err
	}
	return os.WriteFile(reportFile, text, 0o644)
}

// generate returns the text of the report for a repository. The error joins
// everything that is wrong with the clauses, the exclusions and the directives.
func generate(repository fs.FS) ([]byte, error) {
	clauses, err := fs.ReadFile(repository, clausesFile)
	if err != nil {
		return nil, err
	}
	excluded, err := fs.ReadFile(repository, exclusionsFile)
	if err != nil {
		return nil, err
	}
	c, err := parseCatalogue(string(clauses))
	if err != nil {
		return nil, err
	}
	exclusions, errExclusions := parseExclusions(string(excluded), c)
	proofs, errDirectives := scan(repository)
	err = errors.Join(errExclusions, errDirectives, check(c, exclusions, proofs))
	if err != nil {
		return nil, err
	}
	return report(c, exclusions, proofs), nil
}

// check reports proofs of clauses that do not exist or are excluded.
func check(c *catalogue, exclusions map[string]exclusion, proofs []proof) error {
	var errs []error
	for _, p := range proofs {
		known, ok := c.clauses[p.clause]
		switch e, excluded := exclusions[p.clause]; {
		case !ok:
			errs = append(errs, fmt.Errorf("%s: %s proves %s, which is no clause", p.at, p.test, p.clause))
		case known.level == levelNote:
			errs = append(errs, fmt.Errorf("%s: %s proves %s, which requires nothing", p.at, p.test, p.clause))
		case excluded:
			errs = append(errs, fmt.Errorf("%s: %s proves %s, which is excluded: %s", p.at, p.test, p.clause, e.reason))
		}
	}
	return errors.Join(errs...)
}
