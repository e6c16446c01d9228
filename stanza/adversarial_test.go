package stanza

import "testing"

// adversarialRow is an attack and what has to come of it. Rows of one Id may be
// in several files; each is a subtest.
type adversarialRow struct {
	id  string
	run func(t *testing.T)
}

// adversarialRows is filled by the files that hold the rows, in their init
// functions.
var adversarialRows []adversarialRow

func TestAdversarial(t *testing.T) {
	for _, row := range adversarialRows {
		t.Run(row.id, row.run)
	}
}
