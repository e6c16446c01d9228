// Command mutation measures the tests of the packages that security rests on:
// it breaks their code in small ways, one at a time, and counts how many of the
// changes the tests notice. It prints the share for each package, lists the
// changes that nothing noticed, and fails below a given share.
//
//	go run ./internal/mutation -min 90 ./sasl ./tls ./stream/auth
//
// All changes ("mutants") are built into one copy of the module at once, each
// behind a switch, so that a test binary is compiled once and run with one
// switch on at a time; and a mutant is tried only with the tests that reach it.
// That makes thousands of runs affordable.
//
// What is tried: conditions are turned round and operands of && and || left
// out; comparisons move by one; + and - change places; statements are left out;
// results become zero values. Packages named behind -also are run when the
// package's own tests notice nothing.
//
// What is noticed has to be the change and nothing else: tests that fail without
// one, or at times, or in the company of others, are left out and named. A change
// that makes tests hang counts as noticed when they hang again with twice the
// time and the machine to themselves; how many those are is printed, and with -v
// which.
//
// The file survivors.txt beside this one lists mutants that may survive, each
// with the reason: most of them make no difference that anybody could see. They
// count as survivors all the same.
package main
