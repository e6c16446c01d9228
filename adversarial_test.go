package xmpp_test

import (
	"os"
	"testing"
)

// TestAdversarial holds one subtest for each attack that is the business of the
// whole, rather than of one of its parts.
func TestAdversarial(t *testing.T) {
	for id, attack := range map[string]func(*testing.T){
		"L16": adversarialL16,
		"R05": adversarialR05,
		"R07": adversarialR07,
		"R08": adversarialR08,
		"R18": adversarialR18,
		"R15": adversarialR15,
		"R16": adversarialR16,
		"R17": adversarialR17,
		"R21": adversarialR21,
		"R09": adversarialR09,
		"R19": adversarialR19,
		"G07": adversarialG07,
		"L13": adversarialL13,
		"T14": adversarialT14,
		"T16": adversarialT16,
		"L14": adversarialL14,
		"L07": adversarialL07,
		"G01": adversarialG01,
		"X28": adversarialX28,
		"M05": adversarialM05,
		"M09": adversarialM09,
		"M10": adversarialM10,
		"M14": adversarialM14,
		"M07": adversarialM07,
		"M11": adversarialM11,
		"M18": adversarialM18,
		"M19": adversarialM19,
		"M21": adversarialM21,
	} {
		t.Run(id, attack)
	}
}

// scaled returns the number of rounds: small for every day, full when the
// environment asks for it.
func scaled(everyDay, full int) int {
	if os.Getenv("STANZAKIT_ADVERSARIAL_FULL") != "" {
		return full
	}
	return everyDay
}
