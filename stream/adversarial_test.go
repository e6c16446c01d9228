package stream

import "testing"

// adversarialRow is one hostile input and what has to come of it. Rows with the
// same id that attack different places have different parts.
type adversarialRow struct {
	id, part string
	run      func(*testing.T)
}

// adversarialRows are the rows of this package; each file adds its own with
// attack, in a package variable.
var adversarialRows []adversarialRow

// attack adds rows. It returns true so that it can be called where a variable
// is initialised.
func attack(rows ...adversarialRow) bool {
	adversarialRows = append(adversarialRows, rows...)
	return true
}

func TestAdversarial(t *testing.T) {
	byID := make(map[string][]adversarialRow)
	var order []string
	for _, r := range adversarialRows {
		if byID[r.id] == nil {
			order = append(order, r.id)
		}
		byID[r.id] = append(byID[r.id], r)
	}
	for _, id := range order {
		t.Run(id, func(t *testing.T) {
			for _, r := range byID[id] {
				t.Run(r.part, r.run)
			}
		})
	}
}
