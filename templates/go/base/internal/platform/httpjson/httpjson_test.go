package httpjson

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	for _, test := range []struct {
		name, body string
		code       int
		says       string
	}{
		{"one value", `{"item":"tea"}`, 200, ""},
		{"blanks behind it", "{\"item\":\"tea\"}\n", 200, ""},
		{"no body", "", 400, "EOF"},
		{"half a body", `{"item":`, 400, "unexpected EOF"},
		{"an unknown field", `{"itme":"tea"}`, 400, `unknown field \"itme\"`},
		{"another type", `{"item":7}`, 400, "cannot unmarshal"},
		{"two values", `{"item":"a"}{"item":"b"}`, 400, "behind the JSON value"},
		{"too much", `{"item":"` + strings.Repeat("x", MaxBody) + `"}`, 413, "larger than 1048576 bytes"},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer := httptest.NewRecorder()
			request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader(test.body))
			var order struct {
				Item string `json:"item"`
			}
			ok := Read(answer, request, &order)
			if ok != (test.code == 200) || answer.Code != test.code || !strings.Contains(answer.Body.String(), test.says) {
				t.Errorf("%v, %d %s", ok, answer.Code, answer.Body)
			}
			if !ok && answer.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("Content-Type %q", answer.Header().Get("Content-Type"))
			}
		})
	}
}
