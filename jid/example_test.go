package jid_test

import (
	"errors"
	"fmt"

	"stanzakit.dev/xmpp/jid"
)

func Example() {
	j, err := jid.Parse("Juliet@Capulet.Example./Balcony")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(j)
	fmt.Println(j.Local(), j.Domain(), j.Resource())

	// Canonical values are compared with == and are map keys.
	online := map[jid.JID]bool{j.Bare(): true}
	fmt.Println(online[jid.MustParse("juliet@capulet.example")])

	_, err = jid.Parse("romeo montague@montague.example")
	fmt.Println(errors.Is(err, jid.ErrNotAllowed), err)
	// Output:
	// juliet@capulet.example/Balcony
	// juliet capulet.example Balcony
	// true
	// true jid: localpart "romeo montague" contains a character that is not allowed there
}

func ExampleEscape() {
	local, err := jid.Escape("d'artagnan")
	if err != nil {
		fmt.Println(err)
		return
	}
	j, err := jid.New(local, "musketeers.example", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(j)
	fmt.Println(jid.Unescape(j.Local()))
	// Output:
	// d\27artagnan@musketeers.example
	// d'artagnan
}

func ExampleConfusable() {
	known := jid.MustParse("admin@example.com")
	other := jid.MustParse("аdmin@example.com") // begins with a Cyrillic letter
	fmt.Println(known == other, jid.Confusable(known, other))
	// Output: false true
}

func ExampleJID_ASCIIDomain() {
	name, err := jid.MustParse("a@bücher.example").ASCIIDomain()
	fmt.Println(name, err)
	// Output: xn--bcher-kva.example <nil>
}
