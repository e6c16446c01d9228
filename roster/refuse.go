package roster

import (
	"fmt"

	"stanzakit.dev/xmpp/stanza"
)

// refuse returns the error that says what is wrong with a roster stanza.
func refuse(c stanza.Condition, format string, args ...any) error {
	return &stanza.Error{Condition: c, Text: fmt.Sprintf(format, args...)}
}
