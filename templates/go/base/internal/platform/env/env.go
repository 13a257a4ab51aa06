// Package env reads typed values from environment variables and keeps every mistake, so that all of them are told at once.
package env

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Lookup finds a variable, as os.LookupEnv does.
type Lookup func(name string) (string, bool)

// Secret is a text that no log and no error shows.
type Secret string

// String hides the secret from fmt.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret from %#v.
func (Secret) GoString() string { return "[redacted]" }

// MarshalText hides the secret from encoding/json, also inside a struct.
func (Secret) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// LogValue hides the secret from slog.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Reader reads variables one after another; Err has what was wrong with them.
type Reader struct {
	lookup Lookup
	errs   []error
}

// NewReader reads through lookup.
func NewReader(lookup Lookup) *Reader {
	return &Reader{lookup: lookup}
}

// Err joins what was wrong; nil when nothing was.
func (r *Reader) Err() error {
	return errors.Join(r.errs...)
}

// Text is the variable, or fallback when it is unset or empty.
func (r *Reader) Text(name, fallback string) string {
	if value, ok := r.lookup(name); ok && value != "" {
		return value
	}
	return fallback
}

// Secret is the variable, which must be set.
func (r *Reader) Secret(name string) Secret {
	value, _ := r.lookup(name)
	if value == "" {
		r.errs = append(r.errs, fmt.Errorf("%s: must be set", name))
	}
	return Secret(value)
}

// OneOf is the variable, which must be one of allowed.
func (r *Reader) OneOf(name, fallback string, allowed ...string) string {
	value := r.Text(name, fallback)
	if !slices.Contains(allowed, value) {
		r.wrong(name, value, "must be one of "+strings.Join(allowed, ", "))
	}
	return value
}

// Port is a TCP port; 0 asks the system for a free one.
func (r *Reader) Port(name string, fallback uint16) uint16 {
	text := r.Text(name, "")
	if text == "" {
		return fallback
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		r.wrong(name, text, "must be a port, 0 to 65535")
	}
	return uint16(port) // #nosec G115 -- ParseUint was told 16 bits
}

// Number is a decimal number between low and high.
func (r *Reader) Number(name string, fallback, low, high float64) float64 {
	text := r.Text(name, "")
	if text == "" {
		return fallback
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil || !(number >= low && number <= high) {
		r.wrong(name, text, fmt.Sprintf("must be a number from %v to %v", low, high))
	}
	return number
}

// Duration is a time such as 500ms or 10s, between low and high.
func (r *Reader) Duration(name string, fallback, low, high time.Duration) time.Duration {
	text := r.Text(name, "")
	if text == "" {
		return fallback
	}
	duration, err := time.ParseDuration(text)
	if err != nil || duration < low || duration > high {
		r.wrong(name, text, fmt.Sprintf("must be a duration from %s to %s, such as %s", low, high, fallback))
	}
	return duration
}

func (r *Reader) wrong(name, value, must string) {
	r.errs = append(r.errs, fmt.Errorf("%s: %q %s", name, value, must))
}
