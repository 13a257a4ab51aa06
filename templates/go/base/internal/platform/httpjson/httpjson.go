// Package httpjson reads and writes JSON bodies; errors are problem details (RFC 9457).
package httpjson

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// MaxBody is the largest request body that Read takes, in bytes.
const MaxBody = 1 << 20

// Write answers with value.
func Write(w http.ResponseWriter, code int, value any) {
	write(w, code, "application/json", value)
}

// Problem answers that a request cannot be done; detail is for the caller, so it names nothing internal.
func Problem(w http.ResponseWriter, code int, detail string) {
	write(w, code, "application/problem+json", struct {
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail,omitempty"`
	}{http.StatusText(code), code, detail})
}

func write(w http.ResponseWriter, code int, kind string, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		panic(fmt.Sprintf("an answer that is no JSON: %v", err)) // A bug; the server makes a 500 of it.
	}
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // The caller may have gone.
}

// Read takes one JSON value with known fields only into value; where it cannot, it has answered and gives false.
func Read(w http.ResponseWriter, r *http.Request, value any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, MaxBody))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(value)
	if err == nil {
		if _, more := decoder.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("something stands behind the JSON value")
		}
	}
	var large *http.MaxBytesError
	switch {
	case err == nil:
		return true
	case errors.As(err, &large):
		Problem(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", large.Limit))
	default:
		Problem(w, http.StatusBadRequest, "the body cannot be read: "+err.Error())
	}
	return false
}
