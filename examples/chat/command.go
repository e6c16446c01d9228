package main

import (
	"errors"
	"fmt"
	"strings"
)

// commands are what can be typed after a slash. Of its arguments the last one may
// have spaces, and those in brackets may be left out.
var commands = []struct{ verb, args, help string }{
	{"to", "NAME", "what you type goes to NAME from now on; NAME: TEXT sends one line"},
	{"roster", "", "show your contacts"},
	{"add", "ADDRESS [NAME]", "add a contact, and ask to see when it is online"},
	{"remove", "NAME", "remove a contact"},
	{"rename", "NAME NEW", "call a contact NEW"},
	{"approve", "ADDRESS", "let somebody who has asked see when you are online"},
	{"deny", "ADDRESS", "do not"},
	{"online", "[STATUS]", "be available"},
	{"chat", "[STATUS]", "be available and glad to talk"},
	{"away", "[STATUS]", "be away"},
	{"xa", "[STATUS]", "be away for long"},
	{"dnd", "[STATUS]", "be busy"},
	{"help", "", "show this"},
	{"quit", "[STATUS]", "leave"},
}

// command is a line that the user has typed. Without a verb, its first argument is
// something to say.
type command struct {
	verb string
	args [2]string
}

// parse takes a line apart. Two slashes say something that begins with one.
func parse(line string) (command, error) {
	rest, ok := strings.CutPrefix(strings.TrimSpace(line), "/")
	if !ok || strings.HasPrefix(rest, "/") {
		return command{args: [2]string{rest}}, nil
	}
	verb, rest, _ := strings.Cut(rest, " ")
	for _, known := range commands {
		if known.verb != verb {
			continue
		}
		c, wanted := command{verb: verb}, strings.Fields(known.args)
		given := strings.SplitN(strings.TrimSpace(rest), " ", max(len(wanted), 1))
		for i := range c.args {
			if i < len(given) {
				c.args[i] = strings.TrimSpace(given[i])
			}
			if i >= len(wanted) && c.args[i] != "" || i < len(wanted) && c.args[i] == "" && wanted[i][0] != '[' {
				return command{}, fmt.Errorf("it is: /%s %s", verb, known.args)
			}
		}
		return c, nil
	}
	return command{}, errors.New("there is no such command: see /help")
}
