// Package form is Data Forms (XEP-0004) with the registered names of XEP-0068 and
// the validation of XEP-0122: questions that a program asks a person or another
// program, and the answers.
//
// Whoever asks builds a [Data] of type [Form], sends it inside its own protocol,
// and passes what comes back to [Data.Check], which compares it with what was
// asked; then the methods of [Field] give typed values. Whoever answers begins
// with [Data.Answer] and calls [Data.Set] for what is to differ.
//
// Everything that is read is bounded: see [MaxFields]. A form of a peer can hold a
// regular expression; those are matched in a time that is linear in the length of
// the value, and long ones are not used.
//
// # Covered
//
//   - XEP-0004 2.13.2, §3 and §4.
//   - XEP-0068 1.3.0, §3.1, §4 and §5: [Data.FormType].
//   - XEP-0122 1.0.2, §3 and §4: the methods basic, open, range, regex and
//     list-range, and the datatypes that §7.2.2.2 registers, with those of XML
//     Schema that are derived from xs:integer. As §4.1 demands, a datatype that is
//     unknown is taken for xs:string and a method that is unknown for basic.
//
// # Left out
//
// Showing a form to a person; the elements that other documents put into a field
// (XEP-0221, XEP-0141), which are ignored; and whether an answer keeps the order of
// the options (XEP-0004 §3.3), which is not checked.
package form
