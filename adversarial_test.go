package xmpp_test

import "testing"

// TestAdversarial holds one subtest for each attack that is the business of the
// whole, rather than of one of its parts.
func TestAdversarial(t *testing.T) {
	for id, attack := range map[string]func(*testing.T){
		"R09": adversarialR09,
		"R19": adversarialR19,
		"G01": adversarialG01,
		"X28": adversarialX28,
	} {
		t.Run(id, attack)
	}
}
