package bolt

import (
	"errors"
	"fmt"
	"net"
)

// Errors of [Open].
var (
	// ErrLocked: another process, or this one, has the file open.
	ErrLocked = errors.New("bolt: the file is in use")
	// ErrForeign: the file is a database of another kind.
	ErrForeign = errors.New("bolt: the file belongs to something else")
	// ErrMode: others than the owner of the file may read or change it.
	ErrMode = errors.New("bolt: the file is not for its owner alone")
)

// errClosed is what every method returns after [DB.Close].
var errClosed = fmt.Errorf("bolt: %w", net.ErrClosed)

// SchemaError is the error of [Open] for a file that a later version of this
// package has written. Nothing was changed in it.
type SchemaError struct {
	// Found is the schema of the file; Known is the latest one that this package
	// can read.
	Found, Known uint64
}

// Error implements error.
func (e *SchemaError) Error() string {
	return fmt.Sprintf("bolt: the file has schema %d, and this program knows up to %d", e.Found, e.Known)
}

// CorruptError says that there is something in the file that this package has not
// written. The method that returns it has changed nothing.
type CorruptError struct {
	// Bucket is the part of the file.
	Bucket string
	// Err says what is wrong.
	Err error
}

// Error implements error. It shows nothing of what is in the file.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("bolt: bad data in bucket %q: %v", e.Bucket, e.Err)
}

// Unwrap returns Err.
func (e *CorruptError) Unwrap() error { return e.Err }
